"""Every input of the stack, broken in thousands of ways: nothing may crash, hang, or be refused without a name."""
