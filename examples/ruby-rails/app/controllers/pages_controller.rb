class PagesController < ActionController::Base
  def home = render(plain: "hello from Rails")
end
