"""What every layer uses: files, terminals, stamps, arrays, child processes."""
