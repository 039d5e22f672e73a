-- clock(n): ns that a whole run with n exits of one kind takes, by a stopwatch: start and end of the run are in it,
-- and it is up to 20 us wrong in both directions. Gives the cost of one exit.
return function(clock)
  return nil
end
