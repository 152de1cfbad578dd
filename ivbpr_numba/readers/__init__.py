"""Files as columns of text: formats, compression, times; nothing here knows what a purchase is."""
