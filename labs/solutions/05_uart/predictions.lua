return {
  exits = 104, -- seven to set the UART up, two a character, one to end
  busy = 152,
  iir = 4,
  iir_again = 1, -- reading it as 2 took that interrupt back
}
