-- A pause between an answer and the connection's next request: a load that leaves the machine room.
--     wrk -s pace.lua URL -- MILLISECONDS
local pause
init = function(args) pause = tonumber(args[1]) end
delay = function() return pause end
