"""The screens and the command line of sft-tui."""
