"""Light: a process of its own for work that would keep a screen from answering."""
