package industrial

allow = "yes"
