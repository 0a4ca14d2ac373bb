/* Starts the sidecar as a child process and asks it a question; POSIX.
 *
 *   cc -o ask ask.c && ./ask path/to/sidecar "What is 86*57?"
 *
 * Prints the reply's JSON. The question must need no escapes in JSON; a real program uses a JSON library.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int fail(const char *what) {
    perror(what);
    return 1;
}

/* The text of a field of a flat JSON object, or NULL. */
static char *field(const char *json, const char *name, char *into, size_t size) {
    char key[64];
    snprintf(key, sizeof key, "\"%s\": ", name);
    const char *at = strstr(json, key);
    if (!at) return NULL;
    at += strlen(key);
    if (*at == '"') at++;
    size_t length = strcspn(at, "\",}");
    if (length >= size) return NULL;
    memcpy(into, at, length);
    into[length] = 0;
    return into;
}

int main(int count, char **words) {
    if (count != 3) {
        fprintf(stderr, "usage: %s SIDECAR QUESTION\n", words[0]);
        return 2;
    }
    char program[4096], artifact[4096];
    snprintf(program, sizeof program, "%s/thinkport-sidecar", words[1]);
    snprintf(artifact, sizeof artifact, "%s/artifact", words[1]);
    int to[2], from[2];
    if (pipe(to) || pipe(from)) return fail("pipe");
    pid_t child = fork();
    if (child == 0) {
        dup2(to[0], 0);
        dup2(from[1], 1);
        close(to[1]); /* else the child would hold its own life line */
        close(from[0]);
        execl(program, program, "serve", artifact, "--sidecar", (char *)NULL);
        _exit(127);
    }
    close(to[0]);
    close(from[1]);

    char line[1024], key[256], port[16];
    FILE *said = fdopen(from[0], "r");
    if (!said || !fgets(line, sizeof line, said)) return fail("the sidecar did not start");
    if (!field(line, "api_key", key, sizeof key) || !field(line, "port", port, sizeof port)) return fail(line);

    char body[8192], request[16384];
    int length = snprintf(body, sizeof body, "{\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}],\"enable_thinking\":true}",
                          words[2]);
    snprintf(request, sizeof request,
             "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nAuthorization: Bearer %s\r\n"
             "Content-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
             port, key, length, body);
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port))};
    inet_pton(AF_INET, "127.0.0.1", &where.sin_addr);
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(connection, (struct sockaddr *)&where, sizeof where)) return fail("connect");
    if (write(connection, request, strlen(request)) < 0) return fail("write");

    static char answer[1 << 20];
    size_t held = 0;
    ssize_t came;
    while (held + 1 < sizeof answer && (came = read(connection, answer + held, sizeof answer - held - 1)) > 0)
        held += (size_t)came;
    char *json = strstr(answer, "\r\n\r\n");
    if (!json) return fail("no reply");
    puts(json + 4);
    close(connection);
    close(to[1]); /* the sidecar ends */
    return waitpid(child, NULL, 0) == child ? 0 : fail("waitpid");
}
