"""What feeds the screens: readers that work beside the event loop."""
