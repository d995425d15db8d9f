require "http/server"
require "greeting"

server = HTTP::Server.new do |context|
  context.response.content_type = "text/plain"
  context.response.print Greeting.of("Crystal #{Crystal::VERSION}")
end

Process.on_terminate { server.close }
address = server.bind_tcp "0.0.0.0", ENV.fetch("PORT", "8080").to_i
puts "listening on http://#{address}"
server.listen
