"""PKIs of vendors that are not the vendors, and Evidence under them."""
