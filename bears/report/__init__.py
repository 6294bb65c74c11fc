"""Find out whether visitors' photos differ from photos that you know (domain shift)."""
