/*
 * A Raspberry Pi camera module whose sensor is a folder: a pipeline handler for libcamera 0.7, built instead of its
 * "virtual" one.
 *
 * Everything above it is real: libcamera's core, its Python module, Picamera2. The handler decides as those of the
 * Raspberry Pi do: a sensor (IMX219) with raw modes, two processed streams and a raw one, RGB and YUV420 with padded rows,
 * frames at the configured rate whether or not a request is queued, time stamps from before the picture is handed out, flips
 * in hardware, and the controls and properties of an IMX219. No image processor, no control algorithm and no kernel driver
 * runs. How it resembles a Pi was read from source, and never compared with one.
 *
 * The folder is $VIRTUAL_PI_CAMERA (default: /run/virtual-pi-camera):
 *
 *   frames   pictures as I420 (BT.601, limited range), one after the other
 *   camera   text: width, height and rate of these pictures (for example 15 a second, whatever the sensor's own rate)
 *   state    text, one word, read before every frame; "play" if the file is missing:
 *            play     the next picture, from the start again after the last one; with a sensor's noise
 *            hold     the same picture, with new noise
 *            freeze   the same picture, bit-identical
 *            black    a covered lens
 *            hang     no frame comes, and nothing is reported
 *            timeout  no frame comes, and all requests are cancelled, as the Raspberry Pi's handlers do
 *            error    frames come, marked as damaged
 *            late     frames come that are two seconds old
 *            busy     another program has the camera (when it is opened)
 *            nostart  the camera refuses to start
 *            stuck    no frame comes, and stopping takes as long as this lasts
 *   seen     a line for each time the camera is configured or started, with the configuration or the controls
 *
 * build_root.sh builds it in place of src/libcamera/pipeline/virtual/ in libcamera's source, with -Dpipelines=virtual.
 */

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fcntl.h>
#include <fstream>
#include <map>
#include <memory>
#include <stdlib.h>
#include <string.h>
#include <string>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <libcamera/base/log.h>
#include <libcamera/base/timer.h>

#include <libcamera/control_ids.h>
#include <libcamera/formats.h>
#include <libcamera/property_ids.h>
#include <libcamera/request.h>
#include <libcamera/transform.h>

#include "libcamera/internal/camera.h"
#include "libcamera/internal/dma_buf_allocator.h"
#include "libcamera/internal/framebuffer.h"
#include "libcamera/internal/mapped_framebuffer.h"
#include "libcamera/internal/pipeline_handler.h"
#include "libcamera/internal/request.h"

#include "libyuv/convert.h"
#include "libyuv/convert_from.h"
#include "libyuv/rotate.h"
#include "libyuv/scale.h"

namespace libcamera {

LOG_DEFINE_CATEGORY(VirtualPi)

namespace {

using Clock = std::chrono::steady_clock;

const Size kSensor(3280, 2464);
const std::vector<Size> kModes = { { 640, 480 }, { 1640, 1232 }, { 1920, 1080 }, { 3280, 2464 } };
const PixelFormat kRaw = formats::SRGGB10_CSI2P;
const std::vector<PixelFormat> kProcessed = { formats::XBGR8888, formats::XRGB8888, formats::RGB888, formats::BGR888,
					      formats::YUV420, formats::NV12 };
constexpr unsigned int kAlign = 64;
constexpr int64_t kShortest = 4857; /* us; the 640x480 mode gives 206 frames a second */

unsigned int aligned(unsigned int value)
{
	return (value + kAlign - 1) / kAlign * kAlign;
}

bool isRaw(const PixelFormat &format)
{
	return std::find(kProcessed.begin(), kProcessed.end(), format) == kProcessed.end();
}

bool isYuv(const PixelFormat &format)
{
	return format == formats::YUV420 || format == formats::NV12;
}

unsigned int strideOf(const StreamConfiguration &cfg)
{
	if (isRaw(cfg.pixelFormat))
		return (cfg.size.width * 10 / 8 + 31) / 32 * 32;
	if (isYuv(cfg.pixelFormat))
		return aligned(cfg.size.width);
	if (cfg.pixelFormat == formats::XBGR8888 || cfg.pixelFormat == formats::XRGB8888)
		return aligned(cfg.size.width * 4);
	return aligned(cfg.size.width * 3);
}

unsigned int sizeOf(const StreamConfiguration &cfg)
{
	unsigned int all = cfg.stride * cfg.size.height;
	return isYuv(cfg.pixelFormat) ? all * 3 / 2 : all;
}

struct Picture {
	Picture() = default;
	explicit Picture(const Size &s)
		: size(s), data(s.width * s.height * 3 / 2, 128)
	{
	}

	uint8_t *y() { return data.data(); }
	uint8_t *u() { return y() + size.width * size.height; }
	uint8_t *v() { return u() + size.width / 2 * (size.height / 2); }
	int half() const { return size.width / 2; }

	Size size;
	std::vector<uint8_t> data;
};

} /* namespace */

class PiCameraData : public Camera::Private
{
public:
	PiCameraData(PipelineHandler *pipe)
		: Camera::Private(pipe)
	{
	}

	Stream streams_[3]; /* two processed ones, then the raw one */
	Transform transform_;
};

class PiConfiguration : public CameraConfiguration
{
public:
	PiConfiguration(PiCameraData *data)
		: data_(data)
	{
	}

	Status validate() override;

	Transform transform_;

private:
	bool shareColours();

	PiCameraData *data_;
};

/* Give all processed streams the colour space of the first; RGB is full range. Returns false if one had to be changed. */
bool PiConfiguration::shareColours()
{
	std::optional<ColorSpace> shared;
	bool kept = true;

	for (StreamConfiguration &cfg : config_) {
		if (isRaw(cfg.pixelFormat))
			continue;
		if (!shared) {
			shared = ColorSpace::Sycc;
			for (const ColorSpace &one : { ColorSpace::Sycc, ColorSpace::Smpte170m, ColorSpace::Rec709 })
				if (cfg.colorSpace && cfg.colorSpace->primaries == one.primaries &&
				    cfg.colorSpace->transferFunction == one.transferFunction)
					shared = one;
		}
		ColorSpace due = *shared;
		if (!isYuv(cfg.pixelFormat)) {
			due.ycbcrEncoding = ColorSpace::YcbcrEncoding::None;
			due.range = ColorSpace::Range::Full;
		}
		kept = kept && (!cfg.colorSpace || cfg.colorSpace == due);
		cfg.colorSpace = due;
	}
	return kept;
}

CameraConfiguration::Status PiConfiguration::validate()
{
	Status status = Valid;
	unsigned int raws = 0, processed = 0;

	if (config_.empty())
		return Invalid;

	/* A sensor flips, and cannot swap rows and columns. */
	transform_ = orientation / Orientation::Rotate0;
	if (!!(transform_ & Transform::Transpose)) {
		transform_ = Transform::Identity;
		orientation = Orientation::Rotate0;
		status = Adjusted;
	}

	Size mode = kModes[1];
	if (sensorConfig) {
		if (!sensorConfig->isValid() ||
		    std::find(kModes.begin(), kModes.end(), sensorConfig->outputSize) == kModes.end())
			return Invalid;
		mode = sensorConfig->outputSize;
	}

	for (StreamConfiguration &cfg : config_) {
		const PixelFormat format = cfg.pixelFormat;
		const Size size = cfg.size;
		if (isRaw(format)) {
			if (++raws > 1)
				return Invalid;
			cfg.pixelFormat = kRaw;
			cfg.size = mode;
			cfg.colorSpace = ColorSpace::Raw;
			cfg.setStream(&data_->streams_[2]);
		} else {
			if (processed >= 2)
				return Invalid;
			cfg.size.width = std::clamp(size.width & ~1U, 32U, kSensor.width);
			cfg.size.height = std::clamp(size.height & ~1U, 32U, kSensor.height);
			cfg.setStream(&data_->streams_[processed++]);
		}
		if (cfg.pixelFormat != format || cfg.size != size)
			status = Adjusted;
		cfg.stride = strideOf(cfg);
		cfg.frameSize = sizeOf(cfg);
		if (!cfg.bufferCount)
			cfg.bufferCount = 4;
	}

	return shareColours() ? status : Adjusted;
}

class PipelineHandlerVirtual : public PipelineHandler
{
public:
	PipelineHandlerVirtual(CameraManager *manager);
	~PipelineHandlerVirtual();

	std::unique_ptr<CameraConfiguration> generateConfiguration(Camera *camera,
								   Span<const StreamRole> roles) override;
	int configure(Camera *camera, CameraConfiguration *config) override;
	int exportFrameBuffers(Camera *camera, Stream *stream,
			       std::vector<std::unique_ptr<FrameBuffer>> *buffers) override;
	int start(Camera *camera, const ControlList *controls) override;
	void stopDevice(Camera *camera) override;
	int queueRequestDevice(Camera *camera, Request *request) override;
	bool match(DeviceEnumerator *enumerator) override;

protected:
	bool acquireDevice(Camera *camera) override;
	void releaseDevice(Camera *camera) override;

private:
	PiCameraData *dataOf(Camera *camera) { return static_cast<PiCameraData *>(camera->_d()); }

	std::string path(const char *name) const { return folder_ + "/" + name; }
	std::string state() const;
	void note(const std::string &line) const;
	void apply(const ControlList &controls);
	void next();
	void tick();
	void see(const std::string &order);
	void fill(Stream *stream, FrameBuffer *buffer);

	static bool created_;

	std::string folder_;
	DmaBufAllocator allocator_;
	Timer timer_;
	Clock::time_point due_, seen_at_;
	PiCameraData *running_ = nullptr;
	std::vector<Request *> queued_;
	unsigned int sequence_ = 0;

	int file_ = -1, lock_ = -1;
	const uint8_t *frames_ = nullptr;
	size_t bytes_ = 0, count_ = 0;
	double rate_ = 0, position_ = 0;
	Size shown_;
	Picture scene_;
	uint32_t noise_ = 1;

	std::chrono::microseconds frame_{ 33333 };
	float saturation_ = 1, stops_ = 0;
};

bool PipelineHandlerVirtual::created_ = false;

PipelineHandlerVirtual::PipelineHandlerVirtual(CameraManager *manager)
	: PipelineHandler(manager),
	  allocator_(DmaBufAllocator::DmaBufAllocatorFlag::CmaHeap | DmaBufAllocator::DmaBufAllocatorFlag::SystemHeap |
		     DmaBufAllocator::DmaBufAllocatorFlag::UDmaBuf)
{
	const char *named = getenv("VIRTUAL_PI_CAMERA");
	folder_ = named ? named : "/run/virtual-pi-camera";
	timer_.timeout.connect(this, &PipelineHandlerVirtual::tick);
}

PipelineHandlerVirtual::~PipelineHandlerVirtual()
{
	if (frames_)
		munmap(const_cast<uint8_t *>(frames_), bytes_);
	if (file_ >= 0) {
		close(file_);
		created_ = false;
	}
}

bool PipelineHandlerVirtual::match([[maybe_unused]] DeviceEnumerator *enumerator)
{
	if (created_)
		return false;

	struct stat found;
	std::ifstream(path("camera")) >> shown_.width >> shown_.height >> rate_;
	const size_t one = shown_.width * shown_.height * 3 / 2;
	file_ = open(path("frames").c_str(), O_RDONLY | O_CLOEXEC);
	if (file_ < 0 || !one || rate_ <= 0 || fstat(file_, &found) || static_cast<size_t>(found.st_size) < one) {
		if (file_ >= 0)
			close(file_);
		file_ = -1;
		return false;
	}
	bytes_ = found.st_size;
	count_ = bytes_ / one;
	void *mapped = mmap(nullptr, bytes_, PROT_READ, MAP_SHARED, file_, 0);
	if (mapped == MAP_FAILED)
		return false;
	frames_ = static_cast<const uint8_t *>(mapped);
	created_ = true;

	auto data = std::make_unique<PiCameraData>(this);
	data->properties_.set(properties::Location, properties::CameraLocationExternal);
	data->properties_.set(properties::Model, "imx219");
	data->properties_.set(properties::Rotation, 0);
	data->properties_.set(properties::PixelArraySize, kSensor);
	data->properties_.set(properties::UnitCellSize, Size(1120, 1120));
	data->properties_.set(properties::PixelArrayActiveAreas, { Rectangle(8, 8, kSensor) });
	data->properties_.set(properties::ScalerCropMaximum, Rectangle(8, 8, kSensor));
	data->properties_.set(properties::draft::ColorFilterArrangement, properties::draft::RGGB);

	ControlInfoMap::Map known;
	known[&controls::AeEnable] = ControlInfo(false, true, true);
	known[&controls::AeMeteringMode] = ControlInfo(controls::AeMeteringModeValues);
	known[&controls::AeConstraintMode] = ControlInfo(controls::AeConstraintModeValues);
	known[&controls::AeExposureMode] = ControlInfo(controls::AeExposureModeValues);
	known[&controls::ExposureValue] = ControlInfo(-8.0f, 8.0f, 0.0f);
	known[&controls::ExposureTime] = ControlInfo(75, 11766829, 20000);
	known[&controls::AnalogueGain] = ControlInfo(1.0f, 10.66f, 1.0f);
	known[&controls::AwbEnable] = ControlInfo(false, true, true);
	known[&controls::AwbMode] = ControlInfo(controls::AwbModeValues);
	known[&controls::ColourGains] = ControlInfo(0.0f, 32.0f, 1.0f);
	known[&controls::Brightness] = ControlInfo(-1.0f, 1.0f, 0.0f);
	known[&controls::Contrast] = ControlInfo(0.0f, 32.0f, 1.0f);
	known[&controls::Saturation] = ControlInfo(0.0f, 32.0f, 1.0f);
	known[&controls::Sharpness] = ControlInfo(0.0f, 16.0f, 1.0f);
	known[&controls::ScalerCrop] = ControlInfo(Rectangle(0, 0, 64, 64), Rectangle(0, 0, kSensor), Rectangle(0, 0, kSensor));
	known[&controls::FrameDurationLimits] = ControlInfo(kShortest, INT64_C(11767556), INT64_C(33333));
	known[&controls::draft::NoiseReductionMode] = ControlInfo(controls::draft::NoiseReductionModeValues);
	data->controlInfo_ = ControlInfoMap(std::move(known), controls::controls);

	std::set<Stream *> streams;
	for (Stream &stream : data->streams_)
		streams.insert(&stream);
	registerCamera(Camera::create(std::move(data), "/base/soc/i2c0mux/i2c@1/imx219@10", streams));
	return true;
}

std::string PipelineHandlerVirtual::state() const
{
	std::string word;
	std::ifstream(path("state")) >> word;
	return word.empty() ? "play" : word;
}

void PipelineHandlerVirtual::note(const std::string &line) const
{
	std::ofstream(path("seen"), std::ios::app) << line << std::endl;
}

bool PipelineHandlerVirtual::acquireDevice(Camera *camera)
{
	if (state() == "busy")
		return false;
	/* One process has the camera. The kernel removes the lock when it ends. */
	lock_ = open(path("lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (lock_ >= 0 && !flock(lock_, LOCK_EX | LOCK_NB))
		return true;
	LOG(VirtualPi, Error) << "another program has the camera";
	releaseDevice(camera);
	return false;
}

void PipelineHandlerVirtual::releaseDevice([[maybe_unused]] Camera *camera)
{
	if (lock_ >= 0)
		close(lock_);
	lock_ = -1;
}

std::unique_ptr<CameraConfiguration>
PipelineHandlerVirtual::generateConfiguration(Camera *camera, Span<const StreamRole> roles)
{
	auto config = std::make_unique<PiConfiguration>(dataOf(camera));

	for (const StreamRole role : roles) {
		std::map<PixelFormat, std::vector<SizeRange>> offered;
		if (role == StreamRole::Raw) {
			offered[kRaw] = std::vector<SizeRange>(kModes.begin(), kModes.end());
			offered[formats::SRGGB8] = offered[kRaw];
		} else {
			for (const PixelFormat &format : kProcessed)
				offered[format] = { SizeRange(Size(32, 32), kSensor, 2, 2) };
		}
		StreamConfiguration cfg{ StreamFormats(offered) };
		cfg.pixelFormat = role == StreamRole::Raw ? kRaw : role == StreamRole::Viewfinder ? formats::XRGB8888
												    : formats::YUV420;
		cfg.size = role == StreamRole::Raw || role == StreamRole::StillCapture ? kSensor : Size(1920, 1080);
		cfg.bufferCount = 4;
		cfg.colorSpace = role == StreamRole::Raw ? ColorSpace::Raw : ColorSpace::Sycc;
		config->addConfiguration(cfg);
	}
	if (!roles.empty())
		config->validate();
	return config;
}

int PipelineHandlerVirtual::configure(Camera *camera, CameraConfiguration *config)
{
	auto *pi = static_cast<PiConfiguration *>(config);
	dataOf(camera)->transform_ = pi->transform_;
	std::string line = "configure";
	for (const StreamConfiguration &cfg : *config)
		line += " " + cfg.toString() + "/" + std::to_string(cfg.stride) + "x" + std::to_string(cfg.bufferCount) + "/" +
			ColorSpace::toString(cfg.colorSpace);
	line += std::string(" transform ") + transformToString(pi->transform_);
	if (config->sensorConfig)
		line += " sensor " + config->sensorConfig->outputSize.toString() + "/" +
			std::to_string(config->sensorConfig->bitDepth);
	note(line);
	return 0;
}

int PipelineHandlerVirtual::exportFrameBuffers([[maybe_unused]] Camera *camera, Stream *stream,
					       std::vector<std::unique_ptr<FrameBuffer>> *buffers)
{
	if (!allocator_.isValid())
		return -ENOBUFS;
	return allocator_.exportBuffers(stream->configuration().bufferCount, { stream->configuration().frameSize }, buffers);
}

void PipelineHandlerVirtual::apply(const ControlList &given)
{
	if (const auto &limits = given.get(controls::FrameDurationLimits))
		frame_ = std::chrono::microseconds(std::max(kShortest, (*limits)[0]));
	saturation_ = given.get(controls::Saturation).value_or(saturation_);
	stops_ = given.get(controls::ExposureValue).value_or(stops_);
}

int PipelineHandlerVirtual::start(Camera *camera, const ControlList *given)
{
	std::string line = "start";
	if (given) {
		for (const auto &[id, value] : *given)
			line += " " + controls::controls.at(id)->name() + "=" + value.toString();
		apply(*given);
	}
	note(line);
	if (state() == "nostart")
		return -EIO;
	running_ = dataOf(camera);
	sequence_ = 0;
	seen_at_ = Clock::now();
	due_ = seen_at_ + 3 * frame_; /* the first pictures take longer */
	timer_.start(due_);
	return 0;
}

void PipelineHandlerVirtual::stopDevice([[maybe_unused]] Camera *camera)
{
	while (state() == "stuck")
		std::this_thread::sleep_for(std::chrono::milliseconds(50));
	timer_.stop();
	running_ = nullptr;
	for (Request *request : queued_)
		cancelRequest(request);
	queued_.clear();
	note("stop");
}

int PipelineHandlerVirtual::queueRequestDevice([[maybe_unused]] Camera *camera, Request *request)
{
	queued_.push_back(request);
	return 0;
}

void PipelineHandlerVirtual::next()
{
	due_ += frame_;
	if (due_ < Clock::now())
		due_ = Clock::now() + frame_;
	timer_.start(due_);
}

void PipelineHandlerVirtual::tick()
{
	const std::string now = state();
	if (now == "hang" || now == "stuck")
		return next();
	if (now == "timeout") {
		for (Request *request : queued_)
			cancelRequest(request);
		queued_.clear();
		return next();
	}

	see(now);
	if (queued_.empty()) /* no request is queued: the picture is lost */
		return next();

	Request *request = queued_.front();
	queued_.erase(queued_.begin());
	apply(request->controls());

	const auto age = now == "late" ? std::chrono::microseconds(2000000) : frame_;
	const uint64_t taken =
		std::chrono::duration_cast<std::chrono::nanoseconds>((Clock::now() - age).time_since_epoch()).count();
	ControlList &metadata = request->_d()->metadata();
	metadata.set(controls::SensorTimestamp, taken);
	metadata.set(controls::FrameDuration, static_cast<int64_t>(frame_.count()));
	metadata.set(controls::ExposureTime, static_cast<int32_t>(frame_.count() / 2));
	metadata.set(controls::AnalogueGain, 1.0f);
	metadata.set(controls::DigitalGain, 1.0f);
	metadata.set(controls::ColourTemperature, 4000);
	metadata.set(controls::Lux, 200.0f);
	metadata.set(controls::ScalerCrop, Rectangle(0, 0, kSensor));

	for (const auto &[stream, buffer] : request->buffers()) {
		FrameMetadata &made = buffer->_d()->metadata();
		made.status = now == "error" ? FrameMetadata::Status::FrameError : FrameMetadata::Status::FrameSuccess;
		made.sequence = sequence_;
		made.timestamp = taken;
		unsigned int left = stream->configuration().frameSize;
		for (size_t i = 0; i < buffer->planes().size(); i++) {
			made.planes()[i].bytesused = std::min(left, buffer->planes()[i].length);
			left -= made.planes()[i].bytesused;
		}
		fill(const_cast<Stream *>(stream), buffer);
		completeBuffer(request, buffer);
	}
	sequence_++;
	completeRequest(request);
	next();
}

/* Take the next picture, flipped and with brightness and colour as the controls say. */
void PipelineHandlerVirtual::see(const std::string &order)
{
	const auto now = Clock::now();
	const std::chrono::duration<double> passed = now - seen_at_;
	seen_at_ = now;
	if (order == "freeze" && !scene_.data.empty())
		return;
	scene_ = Picture(shown_);
	if (order == "black") {
		memset(scene_.y(), 16, shown_.width * shown_.height);
	} else {
		memcpy(scene_.y(), frames_ + static_cast<size_t>(position_) * scene_.data.size(), scene_.data.size());
		/* By the clock: a busy machine loses frames, and does not slow the video down. */
		if (order != "hold")
			position_ = std::fmod(position_ + rate_ * passed.count(), count_);
		const float gain = std::pow(2.0f, stops_);
		for (size_t i = 0; i < shown_.width * shown_.height; i++) {
			uint8_t &y = scene_.data[i];
			noise_ = noise_ * 1664525 + 1013904223;
			const int more = (noise_ >> 30) == 0 ? 1 : 0;
			y = std::clamp<int>(gain == 1 ? y + more : 16 + (y - 16) * gain + more, 16, 235);
		}
		if (saturation_ != 1)
			for (size_t i = shown_.width * shown_.height; i < scene_.data.size(); i++)
				scene_.data[i] = std::clamp<int>(128 + (scene_.data[i] - 128) * saturation_, 16, 240);
	}

	Transform transform = running_->transform_;
	if (transform == Transform::Identity)
		return;
	Picture flipped(shown_);
	const int height = !!(transform & Transform::VFlip) ? -static_cast<int>(shown_.height) : shown_.height;
	auto turn = !!(transform & Transform::HFlip) ? libyuv::I420Mirror : libyuv::I420Copy;
	turn(scene_.y(), shown_.width, scene_.u(), scene_.half(), scene_.v(), scene_.half(), flipped.y(), shown_.width,
	     flipped.u(), flipped.half(), flipped.v(), flipped.half(), shown_.width, height);
	scene_ = std::move(flipped);
}

void PipelineHandlerVirtual::fill(Stream *stream, FrameBuffer *buffer)
{
	const StreamConfiguration &cfg = stream->configuration();
	MappedFrameBuffer mapped(buffer, MappedFrameBuffer::MapFlag::Write);
	if (!mapped.isValid() || mapped.planes().empty()) {
		LOG(VirtualPi, Error) << "a buffer cannot be mapped";
		return;
	}
	uint8_t *to = mapped.planes()[0].data();
	if (isRaw(cfg.pixelFormat) || mapped.planes()[0].size() < cfg.stride)
		return;

	const unsigned int width = cfg.size.width, height = cfg.size.height, stride = cfg.stride;
	Picture scaled(cfg.size);
	libyuv::I420Scale(scene_.y(), shown_.width, scene_.u(), scene_.half(), scene_.v(), scene_.half(), shown_.width,
			  shown_.height, scaled.y(), width, scaled.u(), scaled.half(), scaled.v(), scaled.half(), width, height,
			  libyuv::FilterMode::kFilterBox);
	auto each = [&](auto convert) {
		convert(scaled.y(), width, scaled.u(), scaled.half(), scaled.v(), scaled.half(), to, stride, width, height);
	};
	if (cfg.pixelFormat == formats::BGR888) { /* little-endian words: in memory red comes first */
		each(libyuv::I420ToRAW);
	} else if (cfg.pixelFormat == formats::RGB888) {
		each(libyuv::I420ToRGB24);
	} else if (cfg.pixelFormat == formats::XBGR8888) {
		each(libyuv::I420ToABGR);
	} else if (cfg.pixelFormat == formats::XRGB8888) {
		each(libyuv::I420ToARGB);
	} else if (cfg.pixelFormat == formats::NV12) {
		libyuv::I420ToNV12(scaled.y(), width, scaled.u(), scaled.half(), scaled.v(), scaled.half(), to, stride,
				   to + stride * height, stride, width, height);
	} else {
		uint8_t *u = to + stride * height, *v = u + stride / 2 * (height / 2);
		libyuv::I420Copy(scaled.y(), width, scaled.u(), scaled.half(), scaled.v(), scaled.half(), to, stride, u,
				 stride / 2, v, stride / 2, width, height);
	}
}

REGISTER_PIPELINE_HANDLER(PipelineHandlerVirtual, "virtual")

} /* namespace libcamera */
