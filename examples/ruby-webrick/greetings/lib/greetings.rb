module Greetings
  def self.hello(name) = "hello #{name} from ruby #{RUBY_VERSION}"
end
