"""What is done about files that are damaged or gone: what is whole in them is carried on."""
