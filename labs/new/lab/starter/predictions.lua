-- Before you run anything: what do you expect? Replace nil by a number.
return {
  exits = nil, -- How many exits does guest hello cause?
}
