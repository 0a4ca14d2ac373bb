// Starts the sidecar as a child process and asks it a question: dotnet run -- path/to/sidecar "What is 86*57?"
using System.Diagnostics;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;

var (folder, question) = (args[0], args[1]);
var program = Path.Combine(folder, OperatingSystem.IsWindows() ? "thinkport-sidecar.exe" : "thinkport-sidecar");
var start = new ProcessStartInfo(program) { RedirectStandardInput = true, RedirectStandardOutput = true };
foreach (var word in new[] { "serve", Path.Combine(folder, "artifact"), "--sidecar" }) start.ArgumentList.Add(word);
// The pipe to its stdin is the sidecar's life line: it ends when this process does.
using var sidecar = Process.Start(start)!;
using var told = JsonDocument.Parse((await sidecar.StandardOutput.ReadLineAsync())!);

using var client = new HttpClient { BaseAddress = new Uri(told.RootElement.GetProperty("url").GetString()!) };
var key = told.RootElement.GetProperty("api_key").GetString();
client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", key);
var body = JsonSerializer.Serialize(new
{
    messages = new[] { new { role = "user", content = question } },
    stream = true,
    enable_thinking = true,
    thinking_token_budget = 512,
});
using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions")
{
    Content = new StringContent(body, Encoding.UTF8, "application/json"),
};
using var response = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
response.EnsureSuccessStatusCode();
using var lines = new StreamReader(await response.Content.ReadAsStreamAsync());
while (await lines.ReadLineAsync() is { } line)
{
    if (!line.StartsWith("data: {")) continue; // a comment, or [DONE]
    using var chunk = JsonDocument.Parse(line[6..]);
    foreach (var choice in chunk.RootElement.GetProperty("choices").EnumerateArray())
    {
        var delta = choice.GetProperty("delta");
        if (delta.TryGetProperty("reasoning_content", out var thought)) Console.Error.Write(thought.GetString());
        if (delta.TryGetProperty("content", out var answer)) Console.Write(answer.GetString());
    }
}
Console.WriteLine();
sidecar.StandardInput.Close();
await sidecar.WaitForExitAsync();
