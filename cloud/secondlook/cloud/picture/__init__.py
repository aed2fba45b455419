"""From the bytes of an escalation to the picture the heavy model looks at."""
