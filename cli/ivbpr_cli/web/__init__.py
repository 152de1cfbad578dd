"""The server: recommendations that a shopper can push around, as JSON and as one page."""
