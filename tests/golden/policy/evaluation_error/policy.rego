package industrial

allow { to_number(input.value) < 5 }
