"""The broker: an XPUB/XSUB proxy, and nothing else."""
