const std = @import("std");
const greeting = @import("greeting");

pub fn main() !void {
    const port = try std.fmt.parseInt(u16, std.posix.getenv("PORT") orelse "8080", 10);
    const address = try std.net.Address.parseIp("0.0.0.0", port);
    var listener = try address.listen(.{ .reuse_address = true });
    defer listener.deinit();
    std.debug.print("listening on port {d}\n", .{port});
    while (true) {
        const connection = try listener.accept();
        answer(connection) catch |err| std.debug.print("no answer: {s}\n", .{@errorName(err)});
    }
}

/// Answers one request.
fn answer(connection: std.net.Server.Connection) !void {
    defer connection.stream.close();
    var incoming: [4096]u8 = undefined;
    var outgoing: [4096]u8 = undefined;
    var reader = connection.stream.reader(&incoming);
    var writer = connection.stream.writer(&outgoing);
    var server = std.http.Server.init(reader.interface(), &writer.interface);
    var request = try server.receiveHead();
    var text: [256]u8 = undefined;
    try request.respond(try greeting.of(&text, "Zig"), .{ .keep_alive = false });
}

test "the greeting names its guest" {
    var text: [256]u8 = undefined;
    try std.testing.expectEqualStrings("Hello from Zig!\n", try greeting.of(&text, "Zig"));
}
