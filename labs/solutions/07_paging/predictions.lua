-- Write down what you expect before you run anything. The guest is "paging" with pages=16 switches=10, its defaults
-- (README.md says what it does). nil: no prediction.
return {
  -- Exits for exceptions (EXCEPTION_NMI) under the profile vtx-ept.
  ept_faults = 0,
  -- The same under vtx-shadow.
  shadow_faults = 24,
  -- INVLPG exits under vtx-shadow.
  shadow_invlpg = 32,
  -- All exits under vtx-shadow, less all exits under vtx-ept.
  more = 69,
  -- May a shadow entry be writable as long as the guest's entry has D = 0? "yes" or "no".
  writable = "no",
}
