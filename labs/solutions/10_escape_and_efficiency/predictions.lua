-- Write down what you expect before you run anything. nil: no prediction.
return {
  -- What does a guest read, with IN AL, from a port where there is no device? A number.
  nobody = 255,
  -- A guest executes WRMSR with an MSR that does not exist. Which exception does it get? "#GP", "#UD", "#PF" or "none".
  wrmsr = "#GP",
  -- A guest executes CLI and then an endless loop. After how many milliseconds of its time does the VMM have control
  -- again?
  interval = 50,
  -- A guest overwrites an instruction of its own and executes it, 1000 times. How many exits does that cause?
  selfmod = 0,
  -- How many exits does the guest in chatty.lua cause with each byte that it prints?
  byte = 3,
}
