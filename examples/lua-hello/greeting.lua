local greeting = {}

function greeting.text(who)
  return "hello from " .. who
end

return greeting
