"""What runs inside the sandbox: standard library only, imported from a read-only mount as the package `inside`."""
