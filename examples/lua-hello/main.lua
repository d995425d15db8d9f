local greeting = require("greeting")

print(greeting.text(_VERSION))
