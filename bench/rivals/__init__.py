"""What fastrnn is compared with, as its own users would write it."""
