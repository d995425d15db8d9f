var app = WebApplication.CreateBuilder(args).Build();
app.MapGet("/", (IConfiguration settings) => settings["Greeting"]);
app.Run();
