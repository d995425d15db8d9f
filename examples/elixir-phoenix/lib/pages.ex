defmodule Pages do
end
