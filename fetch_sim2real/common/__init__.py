"""What every floor uses: files, terminals, stamps, arrays, child processes."""
