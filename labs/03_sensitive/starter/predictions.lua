-- Before you run anything: what do you expect? Replace nil by a number.
return {
  -- Under deprivileged all exits have one reason. Its number?
  reason = nil,
  -- There the guest's kernel stores CS (it has loaded 8). Which value does it see?
  cs = nil,
  -- There it executes CLI, then PUSHF. Bit 9 (IF) of what it sees?
  cli = nil,
  -- How many rows of guest sensitive leak under deprivileged? (There are 59 that it tries. Two more or less is right.)
  leaks = nil,
  -- And how many rows trap under umip that did not under deprivileged?
  newly = nil,
}
