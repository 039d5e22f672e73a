-- Before you run anything: what do you expect? Replace nil by a number.
return {
  -- How many IO_INSTRUCTION exits does guest hello cause? It prints 48 characters.
  exits = nil,
  -- And if LSR says "not ready" at every first, third, fifth question?
  busy = nil,
  -- No FIFO, IER = 3, the transmitter is empty, a byte has come. Which value has IIR?
  iir = nil,
  -- The guest reads RBR, then IIR, then IIR once more. Which value has the last one?
  iir_again = nil,
}
