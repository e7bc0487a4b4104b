"""From raw data to the arrays that models take."""
