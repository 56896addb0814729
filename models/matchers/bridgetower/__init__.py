"""`bridgetower`: image–text matching."""
