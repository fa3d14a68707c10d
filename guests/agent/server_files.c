/* The files of a server: written from the plan, and what it has written itself. */
#include "server_files.h"

#include "keeper.h"
#include "plan.h"
#include "platform_place.h"

#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_SIZE = 4096, LOG_TAIL = 900 };

struct placeholder {
    const char *name;
    char value[PATH_SIZE];
};

enum { PLACEHOLDERS = 5 };

static void values_of(const struct keeper *keeper, struct placeholder *values)
{
    static const char *const names[] = { "{port}", "{folder}", "{workers}", "{generation}",
                                         "{agent}" };
    for (int i = 0; i < PLACEHOLDERS; i++)
        values[i].name = names[i];
    snprintf(values[0].value, PATH_SIZE, "%d", keeper->port);
    snprintf(values[1].value, PATH_SIZE, "%s", keeper->folder);
    snprintf(values[2].value, PATH_SIZE, "%d", keeper->workers);
    snprintf(values[3].value, PATH_SIZE, "%d", keeper->generation);
    snprintf(values[4].value, PATH_SIZE, "%s",
             keeper->plan->root != NULL ? platform_place_agent : keeper->program);
}

/* The value of the placeholder that begins here; null if none does. */
static const struct placeholder *begins(const struct placeholder *values, const char *text,
                                        size_t size)
{
    for (int i = 0; *text == '{' && i < PLACEHOLDERS; i++)
        if (size >= strlen(values[i].name)
            && memcmp(text, values[i].name, strlen(values[i].name)) == 0)
            return &values[i];
    return NULL;
}

char *server_fill(const struct keeper *keeper, const char *text, size_t size, size_t *made)
{
    struct placeholder *values = calloc(PLACEHOLDERS, sizeof *values);
    const struct placeholder *found;
    char *filled = NULL;
    size_t length = 0;
    if (values == NULL)
        return NULL;
    values_of(keeper, values);
    for (int pass = 0; pass < 2; pass++) { /* the first one only counts */
        length = 0;
        for (size_t i = 0; i < size; i += found != NULL ? strlen(found->name) : 1) {
            found = begins(values, text + i, size - i);
            size_t added = found != NULL ? strlen(found->value) : 1;
            if (filled != NULL)
                memcpy(filled + length, found != NULL ? found->value : text + i, added);
            length += added;
        }
        if (filled == NULL && (filled = malloc(length + 1)) == NULL)
            break;
    }
    if (filled != NULL)
        filled[length] = '\0';
    if (made != NULL)
        *made = length;
    free(values);
    return filled;
}

static void make_folders(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0755);
        *slash = '/';
    }
}

static int write_one(const struct keeper *keeper, const struct plan_file *file)
{
    char path[PATH_SIZE], new[PATH_SIZE + 8];
    size_t size;
    char *text = server_fill(keeper, file->text.bytes, file->text.size, &size);
    if (text == NULL)
        return ENOMEM;
    snprintf(path, sizeof path, "%s/%s", keeper->folder, file->path);
    snprintf(new, sizeof new, "%s.new", path);
    make_folders(path);
    FILE *out = fopen(new, "wb");
    int error = out == NULL ? errno : 0;
    if (out != NULL && fwrite(text, 1, size, out) != size)
        error = errno;
    if (out != NULL && fclose(out) != 0 && error == 0)
        error = errno;
    if (error == 0 && (chmod(new, 0755) != 0 || rename(new, path) != 0))
        error = errno;
    free(text);
    return error;
}

int server_write(const struct keeper *keeper)
{
    int error = 0;
    for (int i = 0; error == 0 && i < keeper->plan->file_count; i++)
        error = write_one(keeper, &keeper->plan->files[i]);
    return error;
}

void server_hear(struct keeper *keeper, const char *bytes, size_t count)
{
    if (count > TAIL) {
        keeper->tail_size += count - TAIL;
        bytes += count - TAIL;
        count = TAIL;
    }
    for (size_t i = 0; i < count; i++)
        keeper->tail[keeper->tail_size++ % TAIL] = bytes[i];
}

static size_t add_log(const struct keeper *keeper, const char *name, char *into, size_t size)
{
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/%s", keeper->folder, name);
    FILE *file = fopen(path, "rb");
    int used = snprintf(into, size, "\n[%s]\n", name);
    if (file == NULL || used < 0 || (size_t)used + LOG_TAIL >= size) {
        if (file != NULL)
            fclose(file);
        return 0;
    }
    if (fseek(file, -(long)LOG_TAIL, SEEK_END) != 0)
        rewind(file);
    size_t count = fread(into + used, 1, LOG_TAIL, file);
    fclose(file);
    return count == 0 ? 0 : (size_t)used + count;
}

static size_t add_logs(const struct keeper *keeper, char *into, size_t used, size_t size)
{
    DIR *folder = opendir(keeper->folder);
    struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        size_t length = strlen(entry->d_name);
        if (length > 4 && length < 60 && strcmp(entry->d_name + length - 4, ".log") == 0)
            used += add_log(keeper, entry->d_name, into + used, size - used);
    }
    if (folder != NULL)
        closedir(folder);
    return used;
}

/* A zero would end the text. */
void server_said(const struct keeper *keeper, char *into, size_t size)
{
    size_t count = keeper->tail_size < TAIL ? keeper->tail_size : TAIL;
    for (size_t i = 0; i < count; i++)
        into[i] = keeper->tail[(keeper->tail_size - count + i) % TAIL];
    count = add_logs(keeper, into, count, size);
    for (size_t i = 0; i < count; i++)
        into[i] = into[i] == '\0' ? '?' : into[i];
    into[count] = '\0';
}
