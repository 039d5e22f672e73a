-- Start and end are in both times and vanish from their difference; what is left of the noise is shared by many exits.
local FEW, MANY = 100, 20000

return function(clock) return (clock(MANY) - clock(FEW)) / (MANY - FEW) end
