"""One small file a command; each is wired in :mod:`ivbpr_cli.app`."""
