/* The processes that this one can see: /proc on Linux, ps(1) elsewhere. */
#include "platform_processes.h"

#include <stdio.h>
#include <string.h>

#ifdef __linux__
#include <dirent.h>
#include <stdlib.h>

/* proc(5): the name in brackets may hold anything, brackets too. */
static int read_one(const char *pid, struct process_seen *seen)
{
    char path[64], text[512], state;
    int parent, group;
    snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return -1;
    size_t count = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[count] = '\0';
    const char *end = strrchr(text, ')');
    if (end == NULL || sscanf(end + 1, " %c %d %d", &state, &parent, &group) != 3
        || state == 'Z' || state == 'X')
        return -1;
    *seen = (struct process_seen){ (pid_t)atoi(pid), parent, group };
    return 0;
}

int platform_processes(struct process_seen *seen, int most)
{
    DIR *folder = opendir("/proc");
    struct dirent *entry;
    int count = 0;
    if (folder == NULL)
        return 0;
    while (count < most && (entry = readdir(folder)) != NULL)
        if (strspn(entry->d_name, "0123456789") == strlen(entry->d_name))
            count += read_one(entry->d_name, &seen[count]) == 0;
    closedir(folder);
    return count;
}

#else
#include <signal.h>

/* ps(1) itself, and its shell, are gone once they have been waited for. */
int platform_processes(struct process_seen *seen, int most)
{
    FILE *list = popen("ps -A -o pid= -o ppid= -o pgid= -o stat=", "r");
    char line[128], state[32];
    int count = 0, left = 0, pid, parent, group;
    if (list == NULL)
        return 0;
    while (fgets(line, sizeof line, list) != NULL)
        if (count < most && sscanf(line, "%d %d %d %31s", &pid, &parent, &group, state) == 4
            && state[0] != 'Z')
            seen[count++] = (struct process_seen){ pid, parent, group };
    pclose(list);
    for (int i = 0; i < count; i++)
        if (kill(seen[i].pid, 0) == 0)
            seen[left++] = seen[i];
    return left;
}
#endif
