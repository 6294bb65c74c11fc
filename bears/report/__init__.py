"""Compare visitors' photos with known ones, to find out whether they have drifted."""
