"""The exact population loss: `loss` to read, `corners` and `series` the two methods behind it."""
