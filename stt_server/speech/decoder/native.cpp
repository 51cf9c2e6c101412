// Streaming CTC prefix beam search (Graves 2012; Hannun et al. 2014) with a word n-gram language model and hotwords.
//
//   Lm        words, unigrams, n-grams: from an ARPA text, laid over a mapped file (LM_FORMAT.md), or asked of others
//   Lexicon   a trie of the words' bytes, each node knowing the likeliest word below it: the look-ahead
//   Hotwords  a trie of phrases with failure links (Aho, Corasick 1975) that begin at words only
//   Grammar   an automaton over bytes: what alone may be said
//   Decoder   labels, language model, lexicon, weights: shared by all streams, changed by none
//   Stream    the prefixes of one utterance that are still possible, and what all of them share: committed words
//
// Labels are letters or pieces of words; one that begins a word, be it the space or "▁the", is a boundary. All scores
// are natural logarithms but for those in language models, which are base 10 as in ARPA. No globals, no threads, and no
// locks but one, of what another program's model said (`Asked`): different streams may be used by different threads at
// once. The plain C interface at the end is what
// native.py calls through ctypes, which lets go of Python's lock for the duration of every call.
//
// Acoustic mass is kept as plain probabilities in doubles, scaled up when they become small: a frame then costs a
// multiplication for each beam, not an exponential. A prefix becomes a node of the tree only if it survives its first
// frame; nodes that no beam needs any more are used again. So time and memory of a frame have a bound.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

namespace {

constexpr int ABI = 4;                    // native.py refuses a library with another
constexpr int MAX_ORDER = 6;              // of n-grams
constexpr int HISTORY = 8;                // words by which prefixes are told apart; what lies before is the better one's
constexpr int RATE_EVERY = 8;             // frames after which the last words' confidence is measured anew
constexpr size_t SURE_FRAMES = 4096;      // remembered for the confidence of words that are not settled yet
constexpr int OOV_LETTERS = 6;            // an unknown word that is longer costs more, as in pyctcdecode
constexpr size_t LINE_BYTES = 1 << 20;    // of an ARPA file
constexpr size_t MOST_SAID = 1 << 20;     // scores of another program's model that are kept, 40 MB at most
constexpr size_t NODES_PER_BEAM = 160;    // of the tree; beyond, the oldest half of the best prefix is committed
constexpr float MOST_CREDIT = 6;          // of a phrase not yet said: more would drop all who leave it half-way
constexpr float GRAMMAR_MARGIN = 25;     // prefixes of a grammar are few, and may be far worse than the best for a while
constexpr float GRAMMAR_REACH = 4;        // what a grammar needs next may be less likely than labels tried elsewhere
constexpr double LN10 = 2.302585092994046;
constexpr double TINY = 1e-100;           // acoustic mass is scaled up below it
constexpr int32_t NONE = -1, GONE = -2;  // no such thing; a node's parent once it is out of the tree
constexpr uint32_t UNK = 0, BOS = 1, EOS = 2, FIRST_WORD = 3;

uint64_t mix(uint64_t x) {  // the finaliser of splitmix64
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
    return x ^ (x >> 31);
}

// A log-probability that is no number, or so small that its exponential vanishes, would leave no prefix alive.
double bounded(float logprob) { return logprob > -50 ? double(logprob) : -50; }

uint64_t extend_key(uint64_t key, uint64_t id) { return mix(key + (id + 1) * 0x9E3779B97F4A7C15ull); }

bool is_utf8(const char* text, size_t size) {
    for (size_t i = 0; i < size;) {
        const auto lead = static_cast<unsigned char>(text[i]);
        const int more = lead < 0x80 ? 0 : lead >= 0xC2 && lead < 0xE0 ? 1 : lead >= 0xE0 && lead < 0xF0 ? 2
                       : lead >= 0xF0 && lead < 0xF5 ? 3 : -1;
        if (more < 0 || i + static_cast<size_t>(more) >= size) return false;
        for (int k = 1; k <= more; k++)
            if ((static_cast<unsigned char>(text[i + static_cast<size_t>(k)]) & 0xC0) != 0x80) return false;
        const auto second = static_cast<unsigned char>(more ? text[i + 1] : 0x80);
        if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second >= 0xA0)) return false;  // overlong, surrogate
        if ((lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second >= 0x90)) return false;
        i += static_cast<size_t>(more) + 1;
    }
    return true;
}

// ------------------------------------------------------------------------------------------------------ language model

struct Weights { float logprob, backoff; };  // base 10

struct Slot { uint64_t key; Weights weights; };

static_assert(sizeof(Weights) == 8 && sizeof(Slot) == 16, "as in the file");

// N-grams of one order, in ascending order of their keys, each at its home or behind it; the last slot is empty.
struct Table {
    const Slot* slots = nullptr;
    uint64_t buckets = 0;

    static uint64_t home(uint64_t key, uint64_t buckets) { return ((key >> 32) * buckets) >> 32; }

    const Weights* find(uint64_t key) const {
        if (!buckets) return nullptr;
        const Slot* slot = slots + home(key, buckets);
        while (slot->key && slot->key < key) slot++;
        return slot->key == key ? &slot->weights : nullptr;
    }
};

// The last words of a prefix as the model needs them, the latest first, with the backoff of each history they make.
struct History {
    uint32_t words[MAX_ORDER - 1];
    float backoffs[MAX_ORDER - 1];
    int32_t size;
};

// Log10 probability of a word after a history, the earliest word first.
using Ask = double (*)(const uint32_t* history, int32_t size, uint32_t id);

// A model that another program keeps, and what it said last.
class Asked {
public:
    explicit Asked(Ask ask) : ask_(ask) {}

    double score(const History& history, uint32_t id) {
        uint64_t key = extend_key(0, id);
        for (int i = 0; i < history.size; i++) key = extend_key(key, history.words[i]);
        {
            const std::lock_guard<std::mutex> hold(changing_);
            if (const auto found = said_.find(key); found != said_.end()) return found->second;
        }
        uint32_t words[MAX_ORDER];
        std::reverse_copy(history.words, history.words + history.size, words);
        const auto logprob = static_cast<float>(ask_(words, history.size, id));  // unlocked: it may wait for this thread
        const std::lock_guard<std::mutex> hold(changing_);
        if (said_.size() >= MOST_SAID) said_.clear();
        return said_[key] = logprob;
    }

private:
    const Ask ask_;
    std::mutex changing_;
    std::unordered_map<uint64_t, float> said_;
};

class Lm {
public:
    int order = 0;
    uint64_t words = 0;

    std::pair<const char*, size_t> word(uint64_t id) const {
        const uint32_t begin = id ? ends_[id - 1] : 0;
        return {text_ + begin, ends_[id] - begin};
    }

    double unigram(uint32_t id) const { return unigrams_[id].logprob; }

    // The probability of a word after a history: that of the longest n-gram there is, and the backoffs to it.
    double score(const History& history, uint32_t id) const {
        if (asked_) return asked_->score(history, id);
        uint64_t keys[MAX_ORDER];
        keys[0] = extend_key(0, id);
        for (int i = 0; i < history.size; i++) keys[i + 1] = extend_key(keys[i], history.words[i]);
        double backoffs = 0;
        for (int known = history.size; known > 0; known--) {
            if (const Weights* found = tables_[known + 1].find(nonzero(keys[known]))) return found->logprob + backoffs;
            backoffs += history.backoffs[known - 1];
        }
        return unigrams_[id].logprob + backoffs;
    }

    History extend(const History& history, uint32_t id) const {
        History longer{};
        longer.size = std::min(history.size + 1, order - 1);
        uint64_t key = 0;
        for (int i = 0; i < longer.size; i++) {
            longer.words[i] = i ? history.words[i - 1] : id;
            key = extend_key(key, longer.words[i]);
            if (i == 0) {
                longer.backoffs[i] = unigrams_[id].backoff;
            } else if (const Weights* found = tables_[i + 1].find(nonzero(key))) {
                longer.backoffs[i] = found->backoff;
            }
        }
        return longer;
    }

    // Lay the model over the bytes of a `.lm` file, which must outlive it. Throws runtime_error naming the field.
    void lay_over(const char* data, size_t size);

protected:
    static uint64_t nonzero(uint64_t key) { return key ? key : 1; }

    const Weights* unigrams_ = nullptr;
    const uint32_t* ends_ = nullptr;
    const char* text_ = nullptr;
    Table tables_[MAX_ORDER + 1];
    std::unique_ptr<Asked> asked_;
};

struct Fields {  // of the header
    char magic[8];
    uint32_t version, order;
    uint64_t file_bytes, text_bytes;
    struct { uint64_t ngrams, buckets, slots; } orders[MAX_ORDER];
};

static_assert(sizeof(Fields) == 176, "as in the file");

[[noreturn]] void refuse(const std::string& reason) { throw std::runtime_error(reason); }

void Lm::lay_over(const char* data, size_t size) {
    Fields head;
    if (size < sizeof head) refuse("header: the file is shorter than one");
    std::memcpy(&head, data, sizeof head);
    if (std::memcmp(head.magic, "EARLOOPL", 8)) refuse("magic: these are not the first bytes of a binary language model");
    if (head.version != 1) refuse("version: " + std::to_string(head.version) + ", this server reads 1");
    if (head.order < 1 || head.order > MAX_ORDER) refuse("order: " + std::to_string(head.order) + " is not 1 to 6");
    if (head.file_bytes != size)
        refuse("file_bytes: " + std::to_string(head.file_bytes) + ", but there are " + std::to_string(size));
    const uint64_t count = head.orders[0].ngrams;
    if (count < FIRST_WORD || count > (1ull << 31)) refuse("ngrams of order 1: " + std::to_string(count));
    size_t at = sizeof head;
    const auto take = [&](uint64_t items, uint64_t bytes, const std::string& field) {
        if (items > (size - at) / bytes) refuse(field + ": reaches beyond the end of the file");
        const char* block = data + at;
        at = std::min(size, (at + items * bytes + 7) / 8 * 8);
        return block;
    };
    unigrams_ = reinterpret_cast<const Weights*>(take(count, sizeof(Weights), "unigrams"));
    ends_ = reinterpret_cast<const uint32_t*>(take(count, 4, "word ends"));
    text_ = take(head.text_bytes, 1, "text_bytes");
    uint32_t end = 0;
    for (uint64_t id = 0; id < count; end = ends_[id++])
        if (ends_[id] < end || ends_[id] > head.text_bytes || !is_utf8(text_ + end, ends_[id] - end))
            refuse("word ends: the text of word " + std::to_string(id) + " is no word");
    for (int n = 2; n <= static_cast<int>(head.order); n++) {
        const auto& said = head.orders[n - 1];
        const std::string field = "order " + std::to_string(n);
        if (said.buckets < 1 || said.buckets >> 32 || said.slots <= said.buckets || said.ngrams >= said.slots)
            refuse(field + ": n-grams, buckets and slots do not fit each other");
        const auto* slots = reinterpret_cast<const Slot*>(take(said.slots, sizeof(Slot), field));
        if (slots[said.slots - 1].key) refuse(field + ": the last slot of the table is not empty");
        tables_[n] = {slots, said.buckets};
    }
    order = static_cast<int>(head.order);
    words = count;
}

// Reads an ARPA text piece by piece into tables of its own. Errors name the line.
class Arpa : public Lm {
public:
    void feed(const char* data, size_t size) {
        while (size) {
            const auto* newline = static_cast<const char*>(std::memchr(data, '\n', size));
            const size_t length = newline ? static_cast<size_t>(newline - data) : size;
            line_.append(data, length);
            if (line_.size() > LINE_BYTES) fail("is longer than a mebibyte");
            if (!newline) return;
            take_line();
            data += length + 1, size -= length + 1;
        }
    }

    // Instead of reading: words with their unigrams, `<unk>`, `<s>` and `</s>` first, the others in ascending order.
    void adopt(const std::vector<std::string>& names, const float* logprobs, int orders, Ask ask) {
        if (orders < 1 || orders > MAX_ORDER) refuse("n-grams of " + std::to_string(orders) + " words cannot be read");
        if (names.size() <= FIRST_WORD) refuse("it lists no words");
        for (const std::string& name : names) {
            own_unigrams_.push_back({logprobs[own_unigrams_.size()], 0});
            own_text_ += name;
            own_ends_.push_back(static_cast<uint32_t>(own_text_.size()));
        }
        order = orders, words = names.size();
        unigrams_ = own_unigrams_.data(), ends_ = own_ends_.data(), text_ = own_text_.data();
        asked_ = std::make_unique<Asked>(ask);
    }

    void close() {
        if (!line_.empty()) take_line();
        if (section_ != END) fail("the file ends before \\end\\");
        for (int n = 2; n <= order; n++) lay_out(n);
    }

private:
    static constexpr int BEFORE = -2, DATA = -1, END = 0;  // or the order of the n-grams that are being read

    struct Unigram { std::string word; Weights weights; };

    [[noreturn]] void fail(const std::string& reason) { refuse("line " + std::to_string(number_) + ": " + reason); }

    void take_line() {
        number_++;
        while (!line_.empty() && std::strchr(" \t\r", line_.back())) line_.pop_back();
        if (!line_.empty() && section_ != END) {
            if (line_[0] == '\\') begin_section();
            else if (section_ == DATA) take_count();
            else if (section_ > 0) take_ngram();
        }
        line_.clear();
    }

    void begin_section() {
        if (section_ == BEFORE) {
            if (line_ == "\\data\\") section_ = DATA;
            return;
        }
        if (section_ > 0) end_ngrams();
        const int next = section_ > 0 ? section_ + 1 : 1;
        if (next <= order && line_ == "\\" + std::to_string(next) + "-grams:") section_ = next, left_ = counts_[next];
        else if (next == order + 1 && order && line_ == "\\end\\") section_ = END;
        else fail("\"" + shown(line_) + "\" was not expected here");
    }

    void take_count() {
        int n = 0;
        unsigned long long count = 0;
        if (std::sscanf(line_.c_str(), "ngram %d=%llu", &n, &count) != 2) fail("expected \"ngram 1=...\"");
        if (n != order + 1) fail("orders must be counted one by one, from 1");
        if (n > MAX_ORDER) fail("n-grams of more than 6 words cannot be read");
        if (count >> 31) fail("more n-grams than can be read");
        order = n, counts_[n] = count;
    }

    void take_ngram() {
        if (!left_) fail("more n-grams than \\data\\ says");
        left_--;
        char* rest = &line_[0];
        Weights weights{number(field(rest)), 0};
        if (weights.logprob > 0) fail("a log-probability above 0");
        const char* fields[MAX_ORDER];
        for (int i = 0; i < section_; i++) fields[i] = field(rest);
        if (*rest) weights.backoff = number(field(rest));
        if (*rest) fail("more columns than an n-gram has");
        if (section_ == 1) read_.push_back({word(fields[0]), weights});
        else ngrams_[section_].push_back({key(fields), weights});
    }

    const char* field(char*& rest) {
        rest += std::strspn(rest, " \t");
        if (!*rest) fail("a column is missing");
        char* begin = rest;
        rest += std::strcspn(rest, " \t");
        if (*rest) *rest++ = 0, rest += std::strspn(rest, " \t");
        return begin;
    }

    float number(const char* text) {
        char* end = nullptr;
        const float value = std::strtof(text, &end);
        if (*end || !std::isfinite(value)) fail("\"" + shown(text) + "\" is no number");
        return value;
    }

    std::string word(const char* text) {
        std::string word(text);
        if (!is_utf8(word.data(), word.size())) fail("the word is not UTF-8");
        return word;
    }

    uint64_t key(const char* const* fields) {
        uint64_t key = 0;
        for (int i = section_ - 1; i >= 0; i--) {
            const auto found = ids_.find(fields[i]);
            if (found == ids_.end()) fail("\"" + shown(fields[i]) + "\" is not among the unigrams");
            key = extend_key(key, found->second);
        }
        return nonzero(key);
    }

    static std::string shown(std::string text) {
        text.resize(std::min<size_t>(text.size(), 60));
        for (char& letter : text)
            if (letter < ' ' || letter > '~') letter = '?';
        return text;
    }

    void end_ngrams() {
        if (left_) fail("the " + std::to_string(section_) + "-grams are " + std::to_string(left_) + " short");
        if (section_ == 1) name_words();
    }

    void name_words() {
        std::sort(read_.begin(), read_.end(), [](const Unigram& a, const Unigram& b) { return a.word < b.word; });
        own_unigrams_ = {{-100, 0}, {-99, 0}, {-99, 0}};
        own_text_ = "<unk><s></s>";
        own_ends_ = {5, 8, 12};
        ids_ = {{"<unk>", UNK}, {"<s>", BOS}, {"</s>", EOS}};
        std::vector<bool> seen(FIRST_WORD);
        for (const Unigram& unigram : read_) {
            const auto [entry, is_new] = ids_.emplace(unigram.word, static_cast<uint32_t>(own_unigrams_.size()));
            if (is_new) {
                own_unigrams_.push_back(unigram.weights);
                own_text_ += unigram.word;
                own_ends_.push_back(static_cast<uint32_t>(own_text_.size()));
            } else {
                if (entry->second >= FIRST_WORD || seen[entry->second]) fail("\"" + shown(unigram.word) + "\" came twice");
                seen[entry->second] = true;
                own_unigrams_[entry->second] = unigram.weights;
            }
            if (own_text_.size() >> 32) fail("more text than can be read");
        }
        if (own_unigrams_.size() == FIRST_WORD) fail("it lists no words");
        read_ = {};
        words = own_unigrams_.size();
        unigrams_ = own_unigrams_.data(), ends_ = own_ends_.data(), text_ = own_text_.data();
    }

    void lay_out(int n) {
        auto& ngrams = ngrams_[n];
        std::sort(ngrams.begin(), ngrams.end(), [](const Slot& a, const Slot& b) { return a.key < b.key; });
        const uint64_t buckets = ngrams.size() * 4 / 3 + 1;
        auto& slots = own_slots_[n];
        slots.reserve(buckets + 64);
        for (size_t i = 0; i < ngrams.size(); i++) {
            if (i && ngrams[i].key == ngrams[i - 1].key) refuse("a " + std::to_string(n) + "-gram came twice");
            slots.resize(std::max<size_t>(slots.size(), Table::home(ngrams[i].key, buckets)));
            slots.push_back(ngrams[i]);
        }
        slots.resize(std::max<size_t>(slots.size(), buckets) + 1);
        ngrams = {};
        tables_[n] = {slots.data(), buckets};
    }

    std::string line_;
    uint64_t number_ = 0, left_ = 0, counts_[MAX_ORDER + 1] = {};
    int section_ = BEFORE;
    std::vector<Unigram> read_;
    std::unordered_map<std::string, uint32_t> ids_;
    std::vector<Slot> ngrams_[MAX_ORDER + 1], own_slots_[MAX_ORDER + 1];
    std::vector<Weights> own_unigrams_;
    std::vector<uint32_t> own_ends_;
    std::string own_text_;
};

// --------------------------------------------------------------------------------------------------------------- tries

// A trie of bytes; the children of a node lie side by side. Node 0 is the root.
class Trie {
public:
    struct Node {
        uint32_t first = 0;    // child
        uint16_t children = 0;
        uint8_t byte = 0;
        uint32_t depth = 0;
        int32_t item = NONE;   // that ends here, as an index into what the trie was built from
    };

    std::vector<Node> nodes{1};

    // Of texts in ascending order, each there once.
    void build(const std::vector<std::pair<const char*, size_t>>& texts) {
        struct Range { size_t begin, end; };
        std::vector<Range> ranges{{0, texts.size()}};
        for (size_t at = 0; at < nodes.size(); at++) {
            const uint32_t depth = nodes[at].depth;
            auto [begin, end] = ranges[at];
            if (begin < end && texts[begin].second == depth) nodes[at].item = static_cast<int32_t>(begin++);
            nodes[at].first = static_cast<uint32_t>(nodes.size());
            while (begin < end) {
                const auto byte = static_cast<uint8_t>(texts[begin].first[depth]);
                size_t next = begin;
                while (next < end && static_cast<uint8_t>(texts[next].first[depth]) == byte) next++;
                nodes.push_back({0, 0, byte, depth + 1, NONE});
                ranges.push_back({begin, next});
                nodes[at].children++;
                begin = next;
            }
        }
    }

    int32_t child(int32_t at, uint8_t byte) const {
        const Node& node = nodes[at];
        for (uint32_t i = node.first; i < node.first + node.children; i++)
            if (nodes[i].byte == byte) return static_cast<int32_t>(i);
        return NONE;
    }

    int32_t walk(int32_t at, const std::string& spelling) const {
        for (size_t i = 0; at != NONE && i < spelling.size(); i++) at = child(at, static_cast<uint8_t>(spelling[i]));
        return at;
    }
};

// The model's words. `best` is the unigram of the likeliest word at or below a node (Ortmanns et al. 1996).
struct Lexicon {
    Trie trie;
    std::vector<float> best;
    std::vector<uint32_t> ids;

    Lexicon(const Lm& lm, const bool* spells) {
        std::vector<std::pair<const char*, size_t>> texts;
        for (uint64_t id = FIRST_WORD; id < lm.words; id++) {
            const auto text = lm.word(id);
            const bool can = text.second && std::all_of(text.first, text.first + text.second,
                                                        [&](char c) { return spells[static_cast<uint8_t>(c)]; });
            if (can && (texts.empty() || std::string(text.first, text.second) >
                                             std::string(texts.back().first, texts.back().second))) {
                texts.push_back(text);
                ids.push_back(static_cast<uint32_t>(id));
            }
        }
        trie.build(texts);
        best.assign(trie.nodes.size(), -100);
        for (size_t at = trie.nodes.size(); at-- > 0;) {
            const Trie::Node& node = trie.nodes[at];
            if (node.item != NONE) best[at] = static_cast<float>(lm.unigram(ids[node.item]));
            for (uint32_t i = node.first; i < node.first + node.children; i++) best[at] = std::max(best[at], best[i]);
        }
    }
};

// Phrases that are likelier than the model thinks. A prefix that is on its way through a phrase is given its boost bit
// by bit, which is taken back where the phrase is left, and is the prefix's own once the phrase's last word has ended.
// Of two phrases, one the beginning of the other, the longer one is given what its boost is more.
struct Hotwords {
    Trie trie;
    std::vector<float> credit;    // of a prefix at this node
    std::vector<float> gain;      // of one whose last word ends here; 0 where no phrase ends
    std::vector<int32_t> failure; // the node of the longest later word of the path that also begins a phrase

    // `phrases` in ascending order, each there once, words parted by one space.
    Hotwords(const std::vector<std::string>& phrases, const std::vector<float>& boosts) {
        std::vector<std::pair<const char*, size_t>> texts;
        for (const auto& phrase : phrases) texts.emplace_back(phrase.data(), phrase.size());
        trie.build(texts);
        const size_t size = trie.nodes.size();
        std::vector<float> rate(size, 0), paid(size, 0);
        credit.assign(size, 0), gain.assign(size, 0), failure.assign(size, NONE);
        for (size_t at = size; at-- > 0;) {
            const Trie::Node& node = trie.nodes[at];
            if (node.item != NONE) rate[at] = boosts[node.item] / static_cast<float>(node.depth);
            for (uint32_t i = node.first; i < node.first + node.children; i++) rate[at] = std::max(rate[at], rate[i]);
        }
        for (size_t at = 0; at < size; at++) {
            const Trie::Node& node = trie.nodes[at];
            const float whole = node.item == NONE ? 0 : boosts[node.item];
            credit[at] = std::clamp(rate[at] * static_cast<float>(node.depth) - paid[at], 0.f, MOST_CREDIT);
            gain[at] = std::max(0.f, whole - paid[at]);
            for (uint32_t i = node.first; i < node.first + node.children; i++) {
                paid[i] = trie.nodes[i].byte == ' ' ? std::max(paid[at], whole) : paid[at];
                failure[i] = at ? step(failure[at], trie.nodes[i].byte) : NONE;
            }
        }
    }

    // The node behind one more byte; NONE until the next word begins where no phrase goes on like that.
    int32_t step(int32_t at, uint8_t byte) const {
        for (; at != NONE; at = failure[at])
            if (const int32_t next = trie.child(at, byte); next != NONE) return next;
        return byte == ' ' ? 0 : NONE;
    }

    // What a word's end at this node earns.
    float earned(int32_t at) const {
        for (; at != NONE; at = failure[at])
            if (gain[at] > 0) return gain[at];
        return 0;
    }
};

// A closed grammar: the automaton over bytes that grammar_letters.py makes and describes. It is heard without language
// model.
struct Grammar {
    std::vector<int32_t> first;  // arc of each node, and the end of the last one's
    std::vector<uint8_t> letter;
    std::vector<int32_t> target, other;
    std::vector<float> cost, ending;

    int32_t step(int32_t node, uint8_t byte) const {
        const auto begin = letter.begin() + first[node], end = letter.begin() + first[node + 1];
        const auto arc = std::lower_bound(begin, end, byte);
        if (arc != end && *arc == byte) return target[arc - letter.begin()];
        return byte == ' ' ? NONE : other[node];
    }

    // Whether every number in it leads somewhere.
    bool is_sound() const {
        const auto nodes = static_cast<int32_t>(other.size());
        const auto leads = [&](int32_t node) { return node >= NONE && node < nodes; };
        return nodes > 0 && first.front() == 0 && first.back() == static_cast<int32_t>(letter.size()) &&
               std::is_sorted(first.begin(), first.end()) && std::all_of(target.begin(), target.end(), leads) &&
               std::all_of(other.begin(), other.end(), leads);
    }
};

// ------------------------------------------------------------------------------------------------------------- decoder

struct Label {
    std::string spelling;
    bool is_boundary = false;  // begins a word
    uint16_t letters = 0;
};

extern "C" struct EarloopWeights {
    float alpha, beta;    // of the language model, of each word
    float oov;            // added to a word that the model lacks, for each OOV_LETTERS letters, at least once
    float margin;         // prefixes so much worse than the best are dropped
    float least_logprob;  // of a label in a frame, unless it is the best
    int32_t labels;       // of a frame at most
    int32_t work;         // extensions tried in a frame at most: the worse prefixes are not extended where it is flat
    int32_t closed;       // no words but the model's
    int32_t look_ahead;
    int32_t deep;         // so many labels of a frame are tried above `deep_logprob`, where fewer are above `least_logprob`
    float deep_logprob;
    float trust[4];       // what a word's confidence is made of: see `Stream::trusted`; 0, 1, 0, 0 is the posterior itself
};

struct Decoder {
    std::vector<Label> labels;
    const Lm* lm;
    std::unique_ptr<Lexicon> lexicon;
    EarloopWeights weights;
    History start{};

    Decoder(const Lm* model, std::vector<Label> names, const EarloopWeights& given)
        : labels(std::move(names)), lm(model), weights(given) {
        if (!lm) return;
        bool spells[256] = {};
        for (const Label& label : labels)
            for (const char c : label.spelling) spells[static_cast<uint8_t>(c)] = true;
        lexicon = std::make_unique<Lexicon>(*lm, spells);
        start = lm->extend(start, BOS);
    }

    double oov(int letters) const { return weights.oov * std::max(1.0, double(letters) / OOV_LETTERS); }

    double word_score(double logprob) const { return weights.alpha * LN10 * logprob + weights.beta; }
};

// --------------------------------------------------------------------------------------------------------------- stream

// What follows a closed word: the model's history, and the words by which prefixes are told apart. Shared by all nodes
// up to the next closed word.
struct Context {
    History history;
    uint64_t recent[HISTORY];  // hashes of the last words, the latest first
    uint64_t hash;             // of all that decides about what may follow
    int32_t previous;          // the context before the last word, NONE where nobody needs it any more
    int32_t users;             // nodes, and contexts that follow
    float confidence;          // of the last word
    int32_t closed;            // words
};

// A prefix: its last label, and the rest through `parent`. Its mass is in the beam that it has while it is possible.
struct Node {
    double score;         // of its closed words: language model, hotwords
    double provisional;   // of the word that has begun: look-ahead or penalty, and credit of hotwords
    double close_score;   // what the end of the word adds, once `is_scored`
    uint64_t word;        // hash of the word that has begun
    int32_t parent, child, sibling;
    int32_t beam;         // its place among the beams, NONE where it has none
    int32_t context;
    int32_t lexicon;      // node, NONE for an unknown word
    int32_t hotword;      // node, NONE outside phrases
    int32_t grammar;      // node
    int32_t begin, end;   // frames
    uint16_t label, letters;  // letters of the word that has begun
    uint32_t word_id;         // of that word, once `is_scored`
    uint8_t is_scored, unused[3];
};

struct Beam {
    double blank, label;  // mass of the alignments that end in a blank, and in the prefix's last label
    double score;         // logarithm of their sum, and the node's scores
    double had_blank, had;  // mass before the frame: that which ended in a blank, all of it
    double had_log;         // logarithm of all of it
    int32_t node, unused;
};

// A prefix that may get a beam: a child of the node `from`, new, or as `node` still in the tree for others' sake.
struct Candidate {
    double mass, score;
    double words, provisional;  // as in Node
    int32_t from, node, lexicon, hotword, grammar;
    uint32_t label;
};

struct Word {
    std::string text;
    int32_t begin = 0, end = 0;  // frames
    float confidence = 1;
};

struct Ending {  // of the utterance
    double score;
    int32_t node;
    std::string text;
    double sound;  // logarithm of its alignments' mass, without language model, hotwords and grammar
};

static_assert(std::is_trivially_copyable_v<Node> && std::is_trivially_copyable_v<Context> &&
              std::is_trivially_copyable_v<Beam>, "saved as bytes");

// Numbers keys, which are hashes, in the order in which they come: an open table, emptied for every use.
class Numbering {
public:
    void clear(size_t most) {
        size_t room = 64;
        while (room < 2 * most) room *= 2;
        table_.assign(room, NONE), keys_.clear();
    }

    size_t number(uint64_t key) {
        size_t at = key & (table_.size() - 1);
        while (table_[at] != NONE && keys_[static_cast<size_t>(table_[at])] != key) at = (at + 1) & (table_.size() - 1);
        if (table_[at] == NONE) table_[at] = static_cast<int32_t>(keys_.size()), keys_.push_back(key);
        return static_cast<size_t>(table_[at]);
    }

private:
    std::vector<int32_t> table_;
    std::vector<uint64_t> keys_;
};

class Stream {
public:
    Stream(const Decoder* decoder, int beam, const Hotwords* hotwords, const Grammar* grammar);

    // Rows of log-probabilities, (frames, labels).
    void step(const float* rows, int64_t frames);

    // Into `answer`: the words settled since the last call, and the best prefix; in the end the best `hypotheses`, if any.
    void read(bool is_final, int hypotheses);

    // All there is to know, into `answer`; and back, into a new stream of the same decoder and hotwords.
    void save();
    void load(const char* data, size_t size);

    std::string answer;

private:
    // A frame.
    void hear(const float* row);
    void choose_labels(const float* row);
    void fade(double blank);
    void narrow();
    void stay(double blank);
    void extend(const float* row);
    void propose(const Beam& beam, uint32_t label, int32_t child, double mass, double logmass);
    bool follow(Candidate& next, bool is_within_word) const;
    void select();
    void rescale();
    void drop_twins();
    void commit();
    void settle(const Node& node);
    void cut_history();
    void rate();
    // Scores.
    void score_word(Node& node);
    bool completes(int32_t hotword) const;
    double provisional(int32_t lexicon, int32_t hotword, int letters) const;
    double final_score(const Beam& beam);
    double sound_of(const Beam& beam) const;
    float margin() const { return grammar_ ? std::max(GRAMMAR_MARGIN, decoder_->weights.margin) : decoder_->weights.margin; }
    uint64_t future(const Node& node) const;
    // The tree.
    int32_t find(int32_t parent, uint32_t label) const;
    int32_t grow(const Candidate& candidate);
    int32_t context_behind(int32_t node);
    void release(int32_t node);
    void release_context(int32_t context);
    // Answers.
    std::vector<Ending> endings();
    std::vector<Word> words_of(int32_t node, std::string* text) const;
    uint32_t shared_letters() const;
    void trust_last(std::vector<Word>& words, int32_t node, const std::vector<Ending>& all) const;
    void remember(float best);
    float trusted(const Word& word) const;

    const Decoder* decoder_;
    const Lm* lm_;
    const Hotwords* hotwords_;
    const Grammar* grammar_;
    const size_t width_;

    // What is saved.
    std::vector<Node> nodes_;
    std::vector<Context> contexts_;
    std::vector<int32_t> free_nodes_, free_contexts_;
    std::vector<Beam> beams_;         // the best one first
    std::vector<Word> settled_;       // words that all beams share and that nobody has read
    Word open_;                       // letters of the next one that they share, too
    std::string spelled_;             // what the best label of each frame spells
    struct Place {
        double scale;                 // logarithm of what all mass has been divided by
        int32_t frame, root;
        uint32_t last_best;           // label
        int32_t has_letters;          // of some frame the best label was a letter
    } at_{0, 0, 0, 0, 0};
    std::vector<float> sure_;         // log-probability of the best label, of each frame from `sure_from_` on
    int32_t sure_from_ = 0;
    double clearest_ = 0;             // log-probability of the best labels of all frames: what any prefix is at most

    // Work space of a frame.
    std::vector<float> probability_;  // of labels, 0 but for those in `labels_`
    std::vector<uint32_t> labels_, deep_;
    std::vector<Candidate> candidates_;
    std::vector<std::pair<double, int32_t>> ranking_;  // score; place among the beams, then among the candidates
    std::vector<Beam> chosen_;
    Numbering numbers_;               // of futures, of words
    std::vector<int32_t> bests_;      // by their number: the best beam of each future
    std::vector<double> masses_;      // and the mass of each word
    double best_ = 0;                 // score, as far as is known in this frame
};

Stream::Stream(const Decoder* decoder, int beam, const Hotwords* hotwords, const Grammar* grammar)
    : decoder_(decoder), lm_(grammar ? nullptr : decoder->lm), hotwords_(hotwords), grammar_(grammar),
      width_(static_cast<size_t>(std::max(1, beam))) {
    Context context{};
    context.history = decoder->start;
    context.previous = NONE, context.users = 1, context.confidence = 1;
    contexts_.push_back(context);
    Node root{};
    root.parent = root.child = root.sibling = NONE;
    nodes_.push_back(root);
    Beam first{};
    first.blank = 1;
    beams_.push_back(first);
    probability_.assign(decoder->labels.size(), 0);
}

// ----------------------------------------------------------------------------------------------------------- one frame

void Stream::step(const float* rows, int64_t frames) {
    for (int64_t i = 0; i < frames; i++, rows += decoder_->labels.size()) hear(rows);
}

void Stream::hear(const float* row) {
    choose_labels(row);
    const double blank = std::exp(bounded(row[0]));
    if (labels_.empty()) {
        fade(blank);
    } else {
        narrow();
        stay(blank);
        extend(row);
        select();
        commit();
        if (nodes_.size() - free_nodes_.size() > width_ * NODES_PER_BEAM) cut_history();
    }
    for (const uint32_t label : labels_) probability_[label] = 0;
    at_.frame++;
    if (at_.frame % RATE_EVERY == 0) rate();
}

// The labels of a frame that are worth a try, but for the blank.
void Stream::choose_labels(const float* row) {
    const EarloopWeights& weights = decoder_->weights;
    const auto size = static_cast<uint32_t>(decoder_->labels.size());
    const float least = weights.least_logprob - (grammar_ ? GRAMMAR_REACH : 0);
    const float least_deep = weights.deep ? std::min(least, weights.deep_logprob) : least;
    labels_.clear(), deep_.clear();
    uint32_t best = 0;
    for (uint32_t label = 1; label < size; label++) {
        if (row[label] > least) labels_.push_back(label);
        else if (row[label] > least_deep) deep_.push_back(label);
        if (row[label] > row[best]) best = label;
    }
    const auto likelier = [&](uint32_t a, uint32_t b) { return row[a] != row[b] ? row[a] > row[b] : a < b; };
    if (const auto few = static_cast<size_t>(weights.deep); labels_.size() < few && !deep_.empty()) {
        std::sort(deep_.begin(), deep_.end(), likelier);
        deep_.resize(std::min(deep_.size(), few - labels_.size()));
        labels_.insert(labels_.end(), deep_.begin(), deep_.end());
    }
    if (best && row[best] <= least_deep) labels_.push_back(best);
    if (const auto most = static_cast<size_t>(weights.labels); labels_.size() > most) {
        std::nth_element(labels_.begin(), labels_.begin() + weights.labels, labels_.end(), likelier);
        labels_.resize(most);
    }
    for (const uint32_t label : labels_) probability_[label] = static_cast<float>(std::exp(bounded(row[label])));
    if (best && best != at_.last_best) {
        const Label& named = decoder_->labels[best];
        if (named.is_boundary && !spelled_.empty() && spelled_.back() != ' ') spelled_ += ' ';
        spelled_ += named.spelling;
        if (!named.spelling.empty()) at_.has_letters = 1;
    }
    at_.last_best = best;
    remember(row[best]);
}

// The blank alone is possible: every prefix stays what it is.
void Stream::fade(double blank) {
    const double change = std::log(blank);
    for (Beam& beam : beams_) {
        beam.blank = (beam.blank + beam.label) * blank;
        beam.label = 0;
        beam.score += change;
    }
    rescale();
}

// Where so many labels are possible that every prefix with every label would be too much work, bring those prefixes to
// the front that will be extended.
void Stream::narrow() {
    const size_t most = std::max<size_t>(1, static_cast<size_t>(decoder_->weights.work) / std::max<size_t>(1, labels_.size()));
    if (beams_.size() <= most) return;
    const auto better = [](const Beam& a, const Beam& b) { return a.score != b.score ? a.score > b.score : a.node < b.node; };
    std::partial_sort(beams_.begin(), beams_.begin() + static_cast<std::ptrdiff_t>(most), beams_.end(), better);
    for (size_t i = 0; i < beams_.size(); i++) nodes_[beams_[i].node].beam = static_cast<int32_t>(i);
}

// The alignments that add no label: a blank, or the last label once more.
void Stream::stay(double blank) {
    for (Beam& beam : beams_) {
        const Node& node = nodes_[beam.node];
        beam.had_blank = beam.blank;
        beam.had = beam.blank + beam.label;
        beam.had_log = beam.score - node.score - node.provisional;
        beam.blank = beam.had * blank;
        beam.label *= probability_[node.label];
    }
    const Beam& first = beams_.front();
    best_ = first.score + std::log((first.blank + first.label) / first.had);
}

// Every prefix with one label more; a label that is the prefix's last one needs a blank between them.
void Stream::extend(const float* row) {
    candidates_.clear();
    const size_t most = std::max<size_t>(1, static_cast<size_t>(decoder_->weights.work) / std::max<size_t>(1, labels_.size()));
    for (size_t i = 0; i < std::min(most, beams_.size()); i++) {
        const int32_t from = beams_[i].node;
        const uint32_t last = nodes_[from].label;
        const bool is_between_words = nodes_[from].letters == 0;
        for (const uint32_t label : labels_) {
            Beam& beam = beams_[i];
            const bool is_twice = label == last;
            const double mass = (is_twice ? beam.had_blank : beam.had) * probability_[label];
            if (!(mass > 0)) continue;
            const Label& added = decoder_->labels[label];
            if (is_between_words && added.is_boundary && added.spelling.empty()) {  // another space is no other prefix
                beam.label += mass;
                continue;
            }
            const int32_t child = find(from, label);
            if (child != NONE && nodes_[child].beam != NONE) {
                Node& node = nodes_[child];
                Beam& there = beams_[node.beam];
                if (mass > there.label) node.begin = at_.frame;
                there.label += mass;
                continue;
            }
            propose(beam, label, child, mass, (is_twice ? beam.had_log + std::log(beam.had_blank / beam.had) : beam.had_log) + bounded(row[label]));
        }
    }
}

// Remember a prefix with one label more, if it is not already known to be too bad.
void Stream::propose(const Beam& beam, uint32_t label, int32_t child, double mass, double logmass) {
    const EarloopWeights& weights = decoder_->weights;
    const Label& added = decoder_->labels[label];
    Node& from = nodes_[beam.node];
    const double worst = best_ - margin();
    Candidate next{mass, 0, from.score, 0, beam.node, child, from.lexicon, from.hotword, from.grammar, label};
    int letters = from.letters;
    if (added.is_boundary && letters) {
        if (!hotwords_ && logmass + from.score + 2 * std::max(0.f, weights.beta) < worst) return;
        score_word(from);
        next.words += from.close_score;
        if (hotwords_) next.words += hotwords_->earned(from.hotword), next.hotword = hotwords_->step(from.hotword, ' ');
        next.lexicon = 0, letters = 0;
    } else if (from.hotword <= 0 && letters && logmass + from.score + from.provisional < worst) {
        return;  // more letters make no word likelier
    }
    if (grammar_ && !follow(next, from.letters > 0)) return;
    letters += added.letters;
    if (lm_) next.lexicon = decoder_->lexicon->trie.walk(next.lexicon, added.spelling);
    if (hotwords_)
        for (const char byte : added.spelling) next.hotword = hotwords_->step(next.hotword, static_cast<uint8_t>(byte));
    next.provisional = provisional(next.lexicon, next.hotword, letters);
    next.score = logmass + next.words + next.provisional;
    if (!(next.score >= worst)) return;
    best_ = std::max(best_, next.score);
    candidates_.push_back(next);
}

// Go on in the grammar; false where it does not.
bool Stream::follow(Candidate& next, bool is_within_word) const {
    const Label& added = decoder_->labels[next.label];
    const auto go = [&](uint8_t byte) {
        next.grammar = grammar_->step(next.grammar, byte);
        if (next.grammar != NONE) next.words += grammar_->cost[next.grammar];
        return next.grammar != NONE;
    };
    if (added.is_boundary && is_within_word && !go(' ')) return false;
    return std::all_of(added.spelling.begin(), added.spelling.end(), [&](char c) { return go(static_cast<uint8_t>(c)); });
}

// The best prefixes get the beams.
void Stream::select() {
    ranking_.clear();
    double best = -INFINITY;
    const auto count = static_cast<int32_t>(beams_.size());
    for (int32_t i = 0; i < count; i++) {
        Beam& beam = beams_[i];
        const Node& node = nodes_[beam.node];
        beam.score = std::log(beam.blank + beam.label) + at_.scale + node.score + node.provisional;
        best = std::max(best, beam.score);
        ranking_.emplace_back(beam.score, i);
    }
    for (size_t i = 0; i < candidates_.size(); i++) {
        best = std::max(best, candidates_[i].score);
        ranking_.emplace_back(candidates_[i].score, count + static_cast<int32_t>(i));
    }
    const double worst = best - margin();
    const auto is_bad = [&](const auto& entry) { return !(entry.first >= worst); };
    if (std::isfinite(best)) ranking_.erase(std::remove_if(ranking_.begin(), ranking_.end(), is_bad), ranking_.end());
    const auto better = [](const auto& a, const auto& b) { return a.first != b.first ? a.first > b.first : a.second < b.second; };
    if (ranking_.size() > width_) {
        std::nth_element(ranking_.begin(), ranking_.begin() + static_cast<std::ptrdiff_t>(width_), ranking_.end(), better);
        ranking_.resize(width_);
    }
    std::iter_swap(ranking_.begin(), std::min_element(ranking_.begin(), ranking_.end(), better));
    chosen_.clear();
    bool has_grown = false;
    for (const auto& [score, place] : ranking_) {
        if (place < count) {
            Beam& beam = beams_[place];
            if (beam.label > beam.blank) nodes_[beam.node].end = at_.frame + 1;
            chosen_.push_back(beam);
            beam.node = NONE;
        } else {
            const Candidate& candidate = candidates_[place - count];
            Beam beam{};
            beam.label = candidate.mass, beam.score = score, beam.node = grow(candidate);
            chosen_.push_back(beam);
            has_grown = true;
        }
    }
    beams_.swap(chosen_);
    for (const Beam& beam : chosen_)
        if (beam.node != NONE) nodes_[beam.node].beam = NONE;
    for (size_t i = 0; i < beams_.size(); i++) nodes_[beams_[i].node].beam = static_cast<int32_t>(i);
    for (const Beam& beam : chosen_)
        if (beam.node != NONE) release(beam.node);
    if (has_grown) drop_twins();
    rescale();
}

void Stream::rescale() {
    double most = 0;
    for (const Beam& beam : beams_) most = std::max(most, beam.blank + beam.label);
    if (most >= TINY || !(most > 0)) return;
    for (Beam& beam : beams_) beam.blank /= most, beam.label /= most;
    at_.scale += std::log(most);
}

// Of prefixes with the same last words and the same letters of the word that has begun, whatever comes, the better one
// stays the better one: the others go.
void Stream::drop_twins() {
    if (beams_.size() < 2) return;
    numbers_.clear(beams_.size()), bests_.clear();
    bool found = false;
    for (size_t i = 0; i < beams_.size(); i++) {
        const size_t number = numbers_.number(future(nodes_[beams_[i].node]));
        auto other = static_cast<int32_t>(i);
        if (number == bests_.size()) {
            bests_.push_back(other);
            continue;
        }
        if (beams_[other].score > beams_[bests_[number]].score) std::swap(other, bests_[number]);
        nodes_[beams_[other].node].beam = NONE;
        found = true;
    }
    if (!found) return;
    size_t kept = 0;
    chosen_.clear();
    for (const Beam& beam : beams_) {
        if (nodes_[beam.node].beam == NONE) chosen_.push_back(beam);
        else beams_[kept++] = beam;
    }
    beams_.resize(kept);
    for (size_t i = 0; i < kept; i++) nodes_[beams_[i].node].beam = static_cast<int32_t>(i);
    for (const Beam& beam : chosen_) release(beam.node);
}

// What all prefixes share leaves the tree.
void Stream::commit() {
    for (;;) {
        const Node& root = nodes_[at_.root];
        if (root.beam != NONE || root.child == NONE || nodes_[root.child].sibling != NONE) return;
        const int32_t old = at_.root;
        at_.root = root.child;
        release_context(root.context);
        free_nodes_.push_back(old);
        nodes_[at_.root].parent = NONE;
        settle(nodes_[at_.root]);
    }
}

void Stream::settle(const Node& node) {
    const Label& label = decoder_->labels[node.label];
    if (label.is_boundary && !open_.text.empty()) {
        open_.confidence = contexts_[node.context].confidence;
        open_.confidence = trusted(open_);
        settled_.push_back(open_);
        open_ = {};
    }
    if (label.spelling.empty()) return;
    if (open_.text.empty()) open_.begin = node.begin;
    open_.text += label.spelling;
    open_.end = node.end;
}

// The tree has grown too deep, for some prefixes agree on nothing for long: the best one's first half it shall be.
void Stream::cut_history() {
    std::vector<int32_t> path;
    for (int32_t at = beams_.front().node; at != NONE; at = nodes_[at].parent) path.push_back(at);
    const int32_t kept = path[path.size() / 2];
    std::vector<Beam> others;
    size_t count = 0;
    for (const Beam& beam : beams_) {
        int32_t at = beam.node;
        while (at != NONE && at != kept) at = nodes_[at].parent;
        if (at == kept) beams_[count++] = beam;
        else others.push_back(beam);
    }
    beams_.resize(count);
    for (const Beam& beam : others) nodes_[beam.node].beam = NONE;
    for (const Beam& beam : others) release(beam.node);
    for (size_t i = 0; i < count; i++) nodes_[beams_[i].node].beam = static_cast<int32_t>(i);
    commit();
}

// Measure the confidence of each prefix's last two words: the share of all prefixes' mass that has them, too.
void Stream::rate() {
    numbers_.clear(2 * beams_.size()), masses_.clear();
    const auto mass_of = [&](uint64_t word) -> double& {
        const size_t number = numbers_.number(word);
        if (number == masses_.size()) masses_.push_back(0);
        return masses_[number];
    };
    double all = 0;
    const double best = beams_.front().score;
    for (const Beam& beam : beams_) {
        const double mass = std::exp(beam.score - best);
        all += mass;
        const Context& context = contexts_[nodes_[beam.node].context];
        if (context.closed > 0) mass_of(context.recent[0]) += mass;
        if (context.closed > 1 && context.recent[1] != context.recent[0]) mass_of(context.recent[1]) += mass;
    }
    const auto confidence = [&](uint64_t word) { return static_cast<float>(std::min(1.0, mass_of(word) / all)); };
    for (const Beam& beam : beams_) {
        Context& context = contexts_[nodes_[beam.node].context];
        if (!context.closed) continue;
        context.confidence = confidence(context.recent[0]);
        if (context.previous == NONE) continue;
        Context& previous = contexts_[context.previous];
        if (previous.closed) previous.confidence = confidence(context.recent[1]);
    }
}

// -------------------------------------------------------------------------------------------------------------- scores

// What the end of the node's word adds to the score of the prefix, hotwords left aside.
void Stream::score_word(Node& node) {
    if (node.is_scored) return;
    node.is_scored = 1;
    if (!lm_) return;
    const auto& [trie, best, ids] = *decoder_->lexicon;
    const int32_t item = node.lexicon == NONE ? NONE : trie.nodes[node.lexicon].item;
    node.word_id = item == NONE ? UNK : ids[item];
    const History& history = contexts_[node.context].history;
    node.close_score = decoder_->word_score(lm_->score(history, node.word_id));
    if (node.word_id != UNK || completes(node.hotword)) return;
    node.close_score += decoder_->weights.closed ? -INFINITY : decoder_->oov(node.letters);
}

// Whether a word of a hotword phrase ends at its node.
bool Stream::completes(int32_t hotword) const {
    return hotwords_ && hotword > 0 && (hotwords_->step(hotword, ' ') > 0 || hotwords_->earned(hotword) > 0);
}

// What the word that has begun is likely to add: the likeliest word that begins like it, or what an unknown one costs.
double Stream::provisional(int32_t lexicon, int32_t hotword, int letters) const {
    const EarloopWeights& weights = decoder_->weights;
    const double credit = hotword > 0 ? hotwords_->credit[hotword] : 0;
    if (!lm_ || !letters) return credit;
    if (lexicon != NONE) {
        const double best = decoder_->lexicon->best[lexicon];
        return credit + (weights.look_ahead ? decoder_->word_score(best) : 0);
    }
    const double unknown = decoder_->word_score(lm_->unigram(UNK));
    if (hotword > 0) return credit + unknown;
    return weights.closed ? -INFINITY : unknown + decoder_->oov(letters);
}

// The score of a prefix as a whole utterance.
double Stream::final_score(const Beam& beam) {
    Node& node = nodes_[beam.node];
    double score = beam.score - node.provisional;
    History history = contexts_[node.context].history;
    if (node.letters) {
        score_word(node);
        score += node.close_score;
        if (hotwords_) score += hotwords_->earned(node.hotword);
        if (lm_) history = lm_->extend(history, node.word_id);
    }
    if (lm_) score += decoder_->weights.alpha * LN10 * lm_->score(history, EOS);
    if (grammar_) score += grammar_->ending[node.grammar];
    return score;
}

// The logarithm of the mass of a prefix's alignments, whatever is thought of its words.
double Stream::sound_of(const Beam& beam) const {
    const Node& node = nodes_[beam.node];
    return beam.score - node.score - node.provisional;
}

// Equal for prefixes that nothing to come can tell apart.
uint64_t Stream::future(const Node& node) const {
    const uint64_t words = contexts_[node.context].hash;
    const uint64_t place = static_cast<uint64_t>(node.label) << 32 | static_cast<uint32_t>(node.hotword);
    return extend_key(extend_key(extend_key(words, node.word), place), static_cast<uint32_t>(node.grammar));
}

// ------------------------------------------------------------------------------------------------------------ the tree

int32_t Stream::find(int32_t parent, uint32_t label) const {
    int32_t at = nodes_[parent].child;
    while (at != NONE && nodes_[at].label != label) at = nodes_[at].sibling;
    return at;
}

// The node of a candidate that has got a beam.
int32_t Stream::grow(const Candidate& candidate) {
    if (candidate.node != NONE) {
        nodes_[candidate.node].end = at_.frame + 1;
        return candidate.node;
    }
    const Label& label = decoder_->labels[candidate.label];
    const bool ends_word = label.is_boundary && nodes_[candidate.from].letters;
    const int32_t context = ends_word ? context_behind(candidate.from) : nodes_[candidate.from].context;
    int32_t place = static_cast<int32_t>(nodes_.size());
    if (free_nodes_.empty()) nodes_.emplace_back();
    else place = free_nodes_.back(), free_nodes_.pop_back();
    Node& from = nodes_[candidate.from];
    Node node{};
    node.score = candidate.words, node.provisional = candidate.provisional;
    node.parent = candidate.from, node.child = NONE, node.sibling = from.child, node.beam = NONE;
    node.context = context, node.lexicon = candidate.lexicon, node.hotword = candidate.hotword, node.grammar = candidate.grammar;
    node.begin = at_.frame, node.end = at_.frame + 1;
    node.label = static_cast<uint16_t>(candidate.label);
    node.word = label.is_boundary ? 0 : from.word;
    for (const char byte : label.spelling) node.word = node.word * 0x100000001B3ull + static_cast<uint8_t>(byte) + 1;
    node.letters = static_cast<uint16_t>(std::min(0xFFFF, (label.is_boundary ? 0 : from.letters) + label.letters));
    from.child = place;
    contexts_[context].users++;
    nodes_[place] = node;
    return place;
}

// The context behind the end of a node's word; its children that begin the next one share it.
int32_t Stream::context_behind(int32_t at) {
    const Node node = nodes_[at];
    for (int32_t child = node.child; child != NONE; child = nodes_[child].sibling)
        if (decoder_->labels[nodes_[child].label].is_boundary) return nodes_[child].context;
    int32_t place = static_cast<int32_t>(contexts_.size());
    if (free_contexts_.empty()) contexts_.emplace_back();
    else place = free_contexts_.back(), free_contexts_.pop_back();
    Context& before = contexts_[node.context];
    Context next{};
    if (lm_) next.history = lm_->extend(before.history, node.word_id);
    next.recent[0] = mix(node.word);
    std::copy(before.recent, before.recent + HISTORY - 1, next.recent + 1);
    for (const uint64_t word : next.recent) next.hash = extend_key(next.hash, word);
    next.previous = node.context, next.confidence = 1, next.closed = std::min(before.closed + 1, HISTORY);
    if (before.previous != NONE) {  // nobody looks further back than two words
        release_context(before.previous);
        contexts_[node.context].previous = NONE;
    }
    contexts_[node.context].users++;
    contexts_[place] = next;
    return place;
}

// Take a node out of the tree, and those above it that were there for its sake alone.
void Stream::release(int32_t at) {
    while (at != at_.root) {
        const Node& node = nodes_[at];
        if (node.parent == GONE || node.child != NONE || node.beam != NONE) return;
        const int32_t parent = node.parent;
        int32_t* link = &nodes_[parent].child;
        while (*link != at) link = &nodes_[*link].sibling;
        *link = node.sibling;
        release_context(node.context);
        nodes_[at].parent = GONE;
        free_nodes_.push_back(at);
        at = parent;
    }
}

void Stream::release_context(int32_t at) {
    while (at != NONE && --contexts_[at].users == 0) {
        free_contexts_.push_back(at);
        at = contexts_[at].previous;
    }
}

// ------------------------------------------------------------------------------------------------------------- answers

// The words of a prefix behind those that are settled, and all of them as a text.
std::vector<Word> Stream::words_of(int32_t at, std::string* text) const {
    std::vector<int32_t> path;
    for (; at != at_.root; at = nodes_[at].parent) path.push_back(at);
    std::vector<Word> words;
    Word word = open_;
    const auto end = [&](float confidence) {
        if (word.text.empty()) return;
        word.confidence = confidence;
        words.push_back(word);
        word = {};
    };
    for (size_t i = path.size(); i-- > 0;) {
        const Node& node = nodes_[path[i]];
        const Label& label = decoder_->labels[node.label];
        if (label.is_boundary) end(contexts_[node.context].confidence);
        if (label.spelling.empty()) continue;
        if (word.text.empty()) word.begin = node.begin;
        word.text += label.spelling;
        word.end = node.end;
    }
    end(1);
    if (text)
        for (const Word& each : words) *text += (text->empty() ? "" : " ") + each.text;
    return words;
}

// All that the utterance may be, the best first; prefixes that spell the same are one. Of a grammar it may be nothing.
std::vector<Ending> Stream::endings() {
    std::vector<Ending> all;
    for (const Beam& beam : beams_) {
        const double score = final_score(beam);
        if (!std::isfinite(score)) continue;
        all.push_back({score, beam.node, {}, sound_of(beam)});
        words_of(beam.node, &all.back().text);
    }
    if (all.empty() && !grammar_) {  // a closed vocabulary, and no prefix ends with a word
        all.push_back({beams_.front().score, beams_.front().node, {}, sound_of(beams_.front())});
        words_of(beams_.front().node, &all.back().text);
    }
    const auto by_text = [](const Ending& a, const Ending& b) { return a.text != b.text ? a.text < b.text : a.score > b.score; };
    std::sort(all.begin(), all.end(), by_text);
    size_t size = 0;
    for (size_t i = 0; i < all.size(); i++) {
        if (size && all[size - 1].text == all[i].text) all[size - 1].score += std::log1p(std::exp(all[i].score - all[size - 1].score));
        else if (size++ != i) all[size - 1] = std::move(all[i]);
    }
    all.resize(size);
    std::sort(all.begin(), all.end(), [](const Ending& a, const Ending& b) { return a.score != b.score ? a.score > b.score : a.text < b.text; });
    return all;
}

// The confidence of a final's last word, which no boundary closed: the share of the endings that end alike.
void Stream::trust_last(std::vector<Word>& words, int32_t at, const std::vector<Ending>& all) const {
    if (words.empty() || !nodes_[at].letters) return;
    const std::string& last = words.back().text;
    double sum = 0, alike = 0;
    for (const Ending& ending : all) {
        const double mass = std::exp(ending.score - all.front().score);
        const size_t size = ending.text.size(), begin = size - std::min(size, last.size());
        sum += mass;
        if (ending.text.compare(begin, size, last) == 0 && (begin == 0 || ending.text[begin - 1] == ' ')) alike += mass;
    }
    words.back().confidence = static_cast<float>(std::min(1.0, alike / sum));
}

void Stream::remember(float best) {
    if (sure_.size() == SURE_FRAMES) {
        sure_.erase(sure_.begin(), sure_.begin() + SURE_FRAMES / 2);
        sure_from_ += SURE_FRAMES / 2;
    }
    sure_.push_back(static_cast<float>(bounded(best)));
    clearest_ += bounded(best);
}

// A word's confidence as it is told: the logistic function of the log-odds of its posterior and of the geometric mean of
// the best labels' probabilities, and of its length, with weights that were fitted to how often words are right. They were fitted to free
// speech: of a grammar, which leaves few words possible, the posterior itself is told.
float Stream::trusted(const Word& word) const {
    const auto& [bias, posterior, sound, letters] = decoder_->weights.trust;
    if (grammar_ || (bias == 0 && posterior == 1 && sound == 0 && letters == 0)) return word.confidence;
    double sum = 0;
    const int32_t begin = std::max(word.begin, sure_from_), end = std::max(word.end, word.begin + 1);
    const int32_t known = std::min(end, sure_from_ + static_cast<int32_t>(sure_.size()));
    for (int32_t frame = begin; frame < known; frame++) sum += sure_[static_cast<size_t>(frame - sure_from_)];
    const double mean = known > begin ? sum / (known - begin) : 0;
    const auto odds_of = [](double share) {
        const double known = std::clamp(share, 0.001, 0.999);
        return std::log(known / (1 - known));
    };
    const auto size = std::count_if(word.text.begin(), word.text.end(), [](char c) { return (c & 0xC0) != 0x80; });
    const double odds = bias + posterior * odds_of(word.confidence) + sound * odds_of(std::exp(mean)) + letters * std::log(double(size));
    return static_cast<float>(1 / (1 + std::exp(-odds)));
}

// How many letters behind the settled words all prefixes share, a space between words counting as one.
uint32_t Stream::shared_letters() const {
    std::string text = open_.text;
    int32_t at = at_.root;
    for (;;) {
        const Node& node = nodes_[at];
        if (node.beam != NONE || node.child == NONE || nodes_[node.child].sibling != NONE) break;
        at = node.child;
        const Label& label = decoder_->labels[nodes_[at].label];
        if (label.is_boundary && !text.empty()) text += ' ';
        text += label.spelling;
    }
    if (!text.empty() && text.back() == ' ') text.pop_back();  // the best prefix may end there
    return static_cast<uint32_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

template <typename T>
void put(std::string& out, const T& value) { out.append(reinterpret_cast<const char*>(&value), sizeof value); }

void put_word(std::string& out, const Word& word) {
    put(out, static_cast<uint32_t>(word.text.size()));
    put(out, word.begin), put(out, word.end), put(out, word.confidence);
    out += word.text;
}

void put_words(std::string& out, const std::vector<Word>& words) {
    put(out, static_cast<uint32_t>(words.size()));
    for (const Word& word : words) put_word(out, word);
}

// u32 whether there are letters, u32 shared letters, f64 the best labels' log-probability and u32 frames (final), settled
// words, spelled text (final), u32 hypotheses, each: f64 score, f64 log-probability of its sound, words. Words: u32 count, each: u32 bytes of text, i32 begin, i32 end, f32 confidence, text.
void Stream::read(bool is_final, int hypotheses) {
    answer.clear();
    put(answer, static_cast<uint32_t>(at_.has_letters));
    put(answer, shared_letters());
    put(answer, is_final ? clearest_ : 0.0), put(answer, is_final ? at_.frame : 0);
    put_words(answer, settled_);
    settled_.clear();
    if (!is_final) {
        put(answer, uint32_t{0});
        put(answer, uint32_t{1});
        put(answer, 0.0), put(answer, 0.0);  // a partial that says nothing new is known by its bytes
        std::vector<Word> words = words_of(beams_.front().node, nullptr);
        for (Word& word : words) word.confidence = trusted(word);
        put_words(answer, words);
        return;
    }
    rate();
    put(answer, static_cast<uint32_t>(spelled_.size()));
    answer += spelled_;
    const std::vector<Ending> all = hypotheses > 0 ? endings() : std::vector<Ending>();
    const size_t count = std::min(all.size(), static_cast<size_t>(std::max(0, hypotheses)));
    put(answer, static_cast<uint32_t>(count));
    for (size_t i = 0; i < count; i++) {
        std::vector<Word> words = words_of(all[i].node, nullptr);
        trust_last(words, all[i].node, all);
        for (Word& word : words) word.confidence = trusted(word);
        put(answer, all[i].score), put(answer, all[i].sound);
        put_words(answer, words);
    }
}

// --------------------------------------------------------------------------------------------------- saved and resumed

constexpr uint64_t SAVED = 0x31766d6165727453ull + ABI;  // "Stream" and the version of all that is saved

template <typename T>
void put_all(std::string& out, const std::vector<T>& items) {
    put(out, static_cast<uint64_t>(items.size()));
    out.append(reinterpret_cast<const char*>(items.data()), items.size() * sizeof(T));
}

class Reader {
public:
    Reader(const char* data, size_t size) : at_(data), left_(size) {}

    template <typename T>
    void take(T& value) { std::memcpy(&value, bytes(sizeof value), sizeof value); }

    template <typename T>
    void take_all(std::vector<T>& items) {
        uint64_t count = 0;
        take(count);
        if (count > left_ / sizeof(T)) refuse("it ends too early");
        items.resize(count);
        if (count) std::memcpy(static_cast<void*>(items.data()), bytes(count * sizeof(T)), count * sizeof(T));
    }

    void take_word(Word& word) {
        uint32_t size = 0;
        take(size), take(word.begin), take(word.end), take(word.confidence);
        word.text.assign(bytes(size), size);
    }

private:
    const char* bytes(size_t size) {
        if (size > left_) refuse("it ends too early");
        const char* begin = at_;
        at_ += size, left_ -= size;
        return begin;
    }

    const char* at_;
    size_t left_;
};

void Stream::save() {
    answer.clear();
    put(answer, SAVED);
    put(answer, static_cast<uint64_t>(decoder_->labels.size()));
    put(answer, at_);
    put_all(answer, nodes_), put_all(answer, contexts_), put_all(answer, beams_);
    put_all(answer, free_nodes_), put_all(answer, free_contexts_);
    put_all(answer, sure_), put(answer, sure_from_), put(answer, clearest_);
    put_word(answer, open_);
    put_words(answer, settled_);
    put_all(answer, std::vector<char>(spelled_.begin(), spelled_.end()));
}

// Only what `save` wrote may be loaded: native.py knows damaged bytes by their checksum.
void Stream::load(const char* data, size_t size) {
    uint64_t kind = 0, labels = 0;
    Reader reader(data, size);
    reader.take(kind), reader.take(labels);
    if (kind != SAVED) refuse("another version saved it");
    if (labels != decoder_->labels.size()) refuse("it was decoded with other labels");
    reader.take(at_);
    reader.take_all(nodes_), reader.take_all(contexts_), reader.take_all(beams_);
    reader.take_all(free_nodes_), reader.take_all(free_contexts_);
    reader.take_all(sure_), reader.take(sure_from_), reader.take(clearest_);
    reader.take_word(open_);
    uint32_t words = 0;
    reader.take(words);
    settled_.clear();
    for (uint32_t i = 0; i < words; i++) reader.take_word(settled_.emplace_back());
    std::vector<char> spelled;
    reader.take_all(spelled);
    spelled_.assign(spelled.begin(), spelled.end());
}

std::vector<std::string> split(const char* text, const uint32_t* ends, int32_t count) {
    std::vector<std::string> parts;
    for (int32_t i = 0; i < count; i++) parts.emplace_back(text + (i ? ends[i - 1] : 0), text + ends[i]);
    return parts;
}

// Runs a call's body; what it throws becomes a sentence in `error` and the answer `failed`.
template <typename T, typename Body>
T guarded(char* error, T failed, Body body) {
    try {
        return body();
    } catch (const std::exception& fault) {
        std::snprintf(error, 256, "%s", fault.what());
        return failed;
    }
}

}  // namespace

// -------------------------------------------------------------------------------------------------------- C interface
// Calls that can fail take `error`, 256 bytes, and answer NULL or -1 then. Whoever makes a thing frees it, after all
// that was made with it.

#if defined(_WIN32)
#define EXPORT extern "C" __declspec(dllexport)
#else
#define EXPORT extern "C" __attribute__((visibility("default")))
#endif

EXPORT int earloop_abi() { return ABI; }

EXPORT void* earloop_arpa_new(char* error) {
    return guarded<void*>(error, nullptr, [] { return new Arpa; });
}

EXPORT int earloop_arpa_feed(void* arpa, const char* data, int64_t size, char* error) {
    return guarded(error, -1, [&] { return static_cast<Arpa*>(arpa)->feed(data, static_cast<size_t>(size)), 0; });
}

EXPORT int earloop_arpa_close(void* arpa, char* error) {
    return guarded(error, -1, [&] { return static_cast<Arpa*>(arpa)->close(), 0; });
}

EXPORT void earloop_arpa_free(void* arpa) { delete static_cast<Arpa*>(arpa); }

// `data` must stay where it is until the model is freed.
EXPORT void* earloop_map_new(const char* data, int64_t size, char* error) {
    return guarded<void*>(error, nullptr, [&] {
        auto lm = std::make_unique<Arpa>();
        lm->lay_over(data, static_cast<size_t>(size));
        return lm.release();
    });
}

// A model that `ask` knows, which must outlive it; the words as `adopt` wants them, one behind the other.
EXPORT void* earloop_asked_new(const char* words, const uint32_t* ends, const float* logprobs, int32_t count, int32_t order,
                               Ask ask, char* error) {
    return guarded<void*>(error, nullptr, [&] {
        auto lm = std::make_unique<Arpa>();
        lm->adopt(split(words, ends, count), logprobs, order, ask);
        return lm.release();
    });
}

// Log10 probability of a word's id after a history, the earliest word first.
EXPORT double earloop_lm_score(const void* model, const uint32_t* history, int32_t size, uint32_t id) {
    const Lm& lm = *static_cast<const Arpa*>(model);
    History state{};
    for (int32_t i = 0; i < size; i++) state = lm.extend(state, history[i]);
    return lm.score(state, id);
}

// The id of a word; 0 for an unknown one.
EXPORT uint32_t earloop_lm_find(const void* model, const char* word) {
    const Lm& lm = *static_cast<const Arpa*>(model);
    const std::string wanted(word);
    uint64_t low = FIRST_WORD, high = lm.words;
    while (low < high) {
        const uint64_t middle = (low + high) / 2;
        const auto [text, size] = lm.word(middle);
        if (std::string(text, size) < wanted) low = middle + 1;
        else high = middle;
    }
    if (low < lm.words)
        if (const auto [text, size] = lm.word(low); std::string(text, size) == wanted) return static_cast<uint32_t>(low);
    for (uint32_t id = 0; id < FIRST_WORD; id++)
        if (const auto [text, size] = lm.word(id); std::string(text, size) == wanted) return id;
    return UNK;
}

EXPORT int earloop_lm_order(const void* model) { return static_cast<const Arpa*>(model)->order; }

// `spellings` one behind the other, label 0 the blank; `boundaries` tell which labels begin a word.
EXPORT void* earloop_decoder_new(const void* model, const char* spellings, const uint32_t* ends, const uint8_t* boundaries,
                                 int32_t labels, const EarloopWeights* weights, char* error) {
    return guarded<void*>(error, nullptr, [&] {
        std::vector<Label> names;
        for (std::string& spelling : split(spellings, ends, labels)) {
            const auto letters = std::count_if(spelling.begin(), spelling.end(), [](char c) { return (c & 0xC0) != 0x80; });
            names.push_back({std::move(spelling), boundaries[names.size()] != 0, static_cast<uint16_t>(letters)});
        }
        return new Decoder(static_cast<const Arpa*>(model), std::move(names), *weights);
    });
}

EXPORT void earloop_decoder_free(void* decoder) { delete static_cast<Decoder*>(decoder); }

// Phrases in ascending order of their bytes, one behind the other, each there once.
EXPORT void* earloop_hotwords_new(const char* phrases, const uint32_t* ends, const float* boosts, int32_t count, char* error) {
    return guarded<void*>(error, nullptr, [&] {
        return new Hotwords(split(phrases, ends, count), std::vector<float>(boosts, boosts + count));
    });
}

EXPORT void earloop_hotwords_free(void* hotwords) { delete static_cast<Hotwords*>(hotwords); }

// The arrays of grammar_letters.py.
EXPORT void* earloop_grammar_new(const int32_t* first, const uint8_t* letter, const int32_t* target, const int32_t* other,
                                 const float* cost, const float* ending, int32_t nodes, int32_t arcs, char* error) {
    return guarded<void*>(error, nullptr, [&] {
        auto grammar = std::make_unique<Grammar>(
            Grammar{{first, first + nodes + 1}, {letter, letter + arcs}, {target, target + arcs}, {other, other + nodes},
                    {cost, cost + nodes}, {ending, ending + nodes}});
        if (!grammar->is_sound()) refuse("the grammar leads nowhere");
        return grammar.release();
    });
}

EXPORT void earloop_grammar_free(void* grammar) { delete static_cast<Grammar*>(grammar); }

EXPORT void* earloop_stream_new(const void* decoder, int32_t beam, const void* hotwords, const void* grammar, char* error) {
    return guarded<void*>(error, nullptr, [&] {
        return new Stream(static_cast<const Decoder*>(decoder), beam, static_cast<const Hotwords*>(hotwords),
                          static_cast<const Grammar*>(grammar));
    });
}

EXPORT void earloop_stream_free(void* stream) { delete static_cast<Stream*>(stream); }

// Steps of several streams, each its own rows (frames, labels).
EXPORT int earloop_step(void* const* streams, const float* const* rows, const int64_t* frames, int32_t count, char* error) {
    return guarded(error, -1, [&] {
        for (int32_t i = 0; i < count; i++) static_cast<Stream*>(streams[i])->step(rows[i], frames[i]);
        return 0;
    });
}

// Of one stream.
EXPORT int earloop_step_one(void* stream, const float* rows, int64_t frames, char* error) {
    return guarded(error, -1, [&] { return static_cast<Stream*>(stream)->step(rows, frames), 0; });
}

// The length of what `earloop_answer` points to until the stream's next call.
EXPORT int64_t earloop_read(void* stream, int32_t is_final, int32_t hypotheses, char* error) {
    return guarded<int64_t>(error, -1, [&] {
        auto& read = *static_cast<Stream*>(stream);
        read.read(is_final != 0, hypotheses);
        return static_cast<int64_t>(read.answer.size());
    });
}

EXPORT int64_t earloop_save(void* stream, char* error) {
    return guarded<int64_t>(error, -1, [&] {
        auto& saved = *static_cast<Stream*>(stream);
        saved.save();
        return static_cast<int64_t>(saved.answer.size());
    });
}

EXPORT const char* earloop_answer(const void* stream) { return static_cast<const Stream*>(stream)->answer.data(); }

EXPORT int earloop_load(void* stream, const char* data, int64_t size, char* error) {
    return guarded(error, -1, [&] { return static_cast<Stream*>(stream)->load(data, static_cast<size_t>(size)), 0; });
}
