"""The subcommands of `sft-tui`, one module a family; each imports what it needs when run."""
