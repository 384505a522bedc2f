"""Small parts that the screens are made of. None of them asks a backend."""
