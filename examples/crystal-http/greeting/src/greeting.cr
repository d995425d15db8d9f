module Greeting
  # What a guest is told.
  def self.of(guest : String) : String
    "Hello from #{guest}!\n"
  end
end
