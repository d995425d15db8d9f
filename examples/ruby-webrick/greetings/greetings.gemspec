Gem::Specification.new do |spec|
  spec.name = "greetings"
  spec.version = "1.0.0"
  spec.summary = "Says hello"
  spec.authors = ["example"]
  spec.files = ["lib/greetings.rb"]
end
