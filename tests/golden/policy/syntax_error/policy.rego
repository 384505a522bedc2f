package industrial

allow {
  input.action ==
}
