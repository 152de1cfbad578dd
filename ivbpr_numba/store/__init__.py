"""HDF5 files: atomic writing, digests, guarded reading. `data/FORMAT.md` is the contract."""
