defmodule Hello.Application do
  use Application

  @impl true
  def start(_type, _arguments) do
    port = String.to_integer(System.get_env("PORT", "4000"))
    options = [:binary, packet: :http_bin, active: false, reuseaddr: true, ip: {0, 0, 0, 0}]
    {:ok, socket} = :gen_tcp.listen(port, options)
    Supervisor.start_link([{Task, fn -> accept(socket) end}], strategy: :one_for_one)
  end

  defp accept(socket) do
    {:ok, client} = :gen_tcp.accept(socket)
    body = "hello from Elixir #{System.version()}\n"
    skip_request(client)

    :gen_tcp.send(client, [
      "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n",
      "Content-Length: #{byte_size(body)}\r\n\r\n",
      body
    ])

    :gen_tcp.close(client)
    accept(socket)
  end

  defp skip_request(client) do
    case :gen_tcp.recv(client, 0) do
      {:ok, :http_eoh} -> :ok
      {:ok, _} -> skip_request(client)
      {:error, _} -> :ok
    end
  end
end
